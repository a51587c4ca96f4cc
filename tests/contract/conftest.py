"""The controller inside the process: one database template per session, one log and one cluster per test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kro_es.history import definitions_again, doubts
from tests.support.inside import Inside, copied, empty_database


@pytest.fixture(scope="session")
def database_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return empty_database(tmp_path_factory.mktemp("log") / "template.db")


@pytest.fixture
async def inside(database_template: Path, tmp_path: Path) -> AsyncIterator[Inside]:
    """Running; at the end it is stopped and its log is checked."""
    found = Inside(copied(database_template, tmp_path / "log.db"))
    await found.start()
    yield found
    await found.end()
    assert found.log_faults() == []
    report = found.replayed()
    assert report.differences == []
    assert {why for _, _, why in report.unknown} <= {
        doubts.GONE,
        doubts.OTHER_KEY,
        doubts.REDACTED,
        definitions_again.OURS,
    }
