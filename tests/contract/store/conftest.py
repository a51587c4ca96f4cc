"""Every test of this folder runs on SQLite and on PostgreSQL; in CI a missing PostgreSQL is a failure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from kro_es.projections.projection import Projection
from kro_es.store.engine import open_engine
from kro_es.store.event_log import EventLog
from kro_es.store.mirror import Mirror
from tests.contract.store.support import PROJECTIONS, create
from tests.support.postgres import new_database

MakeLog = Callable[..., EventLog]


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database of its own, empty."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/log.db"
    return new_database(request.getfixturevalue("postgres_server"))


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    opened = open_engine(url)
    yield opened
    opened.dispose()


@pytest.fixture
def make_log(engine: Engine) -> MakeLog:
    """Makes writers of one log with the test projections; the first call creates the database."""
    create(engine, PROJECTIONS)

    def make(projections: tuple[Projection, ...] = PROJECTIONS, *, fenced: bool = True) -> EventLog:
        log = EventLog(engine, projections, cluster="cluster-1")
        if fenced:
            log.issue_fence()
        return log

    return make


@pytest.fixture
def log(make_log: MakeLog) -> EventLog:
    return make_log()


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[Mirror]:
    """The copy of the rows on this machine, which leaves nothing behind."""
    opened = Mirror(PROJECTIONS, tmp_path)
    yield opened
    opened.close()
    assert not list(tmp_path.glob("kro-es-*"))


@pytest.fixture
def memory() -> Iterator[Engine]:
    opened = open_engine("sqlite://")
    yield opened
    opened.dispose()
