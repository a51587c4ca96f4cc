"""A log that was written once folds to the same rows for ever, by whatever version of the program reads it."""

from __future__ import annotations

from pathlib import Path

import pytest

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
