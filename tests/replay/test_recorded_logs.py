"""A log that was written once folds to the same rows for ever, by whatever version of the program reads it."""

from __future__ import annotations

from pathlib import Path

import pytest

from kro_es.projections.registry import PROJECTIONS
from kro_es.store.engine import open_engine
from kro_es.store.log_reader import LogReader
from kro_es.store.migrate import migrate
from kro_es.store.transfer import import_log
from tests.replay.rows import HERE, digests, noted

LOGS = sorted(HERE.glob("*.jsonl.zst"))


@pytest.mark.parametrize("path", LOGS, ids=lambda path: path.name)
def test_a_recorded_log_folds_to_the_rows_that_were_noted(path: Path) -> None:
    expected = noted()[path.name]
    found = digests(path)
    # a projection of a new version may give other rows, and they are noted beside the old ones: python -m tests.replay
    assert found.items() <= expected.items()
    assert len(found) > 10


def test_there_is_a_log_of_every_part() -> None:
    assert {path.name.split("-")[0] for path in LOGS} == {"life", "upkeep"}


@pytest.mark.parametrize("path", LOGS, ids=lambda path: path.name)
def test_a_projection_names_every_body_it_gives_keys_for(path: Path, tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path}/log.db")
    migrate(engine)
    import_log(engine, path, (), now=0)
    events = LogReader(engine).read(1, 100_000)
    engine.dispose()
    touched = {(one.name, type(event.body)) for one in PROJECTIONS for event in events if one.keys(event)}
    assert len(touched) > len(PROJECTIONS)
    assert touched <= {(one.name, body) for one in PROJECTIONS for body in one.bodies}
