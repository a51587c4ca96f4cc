"""No question goes through a table that grows with the log: the database says so of every statement that is asked."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from kro_es.history.source import file_of
from kro_es.store.file_reader import FileConnection
from tests.unit.history.conftest import Ask

GROWING = {
    "events",
    "p_timeline",
    "p_drift",
    "p_rollouts",
    "p_objects",
    "p_nodes",
    "commits",
    "e",
    "t",
    "it",
    "et",
    "o",
}
"""And what the statements call them."""
QUESTIONS = (
    ("log",),
    ("log", "--type", "write.failed"),
    ("log", "--definition", "webshop"),
    ("log", "webshop"),
    ("log", "webshop/shop", "-n", "prod"),
    ("log", "deploy/shop", "-n", "prod", "--path", "spec.replicas"),
    ("show", "deploy/shop", "-n", "prod", "--at", "120"),
    ("why", "deploy/shop", "spec.replicas", "-n", "prod"),
    ("why", "webshop"),
    ("why", "webshop/shop", "-n", "prod"),
    ("why", "50"),
    ("blame", "deploy/shop", "-n", "prod"),
    ("instance", "webshop/shop", "-n", "prod"),
    ("graph", "webshop/shop", "-n", "prod", "--at", "120"),
    ("diff", "webshop/shop", "-n", "prod", "--at", "80"),
    ("doctor", "webshop/shop", "-n", "prod"),
    ("rollouts",),
    ("rollouts", "webshop"),
    ("revisions", "webshop"),
    ("stats", "webshop"),
    ("drift",),
    ("drift", "webshop"),
    ("gaps",),
    ("export", "webshop/shop", "-n", "prod"),
)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Sequence[Any]]]:
    """Every statement that was put to the file."""
    found: list[tuple[str, Sequence[Any]]] = []
    there: Callable[..., Any] = FileConnection.exec_driver_sql

    def heard(self: FileConnection, sql: str, values: Sequence[Any] = ()) -> Any:
        found.append((sql, values))
        return there(self, sql, values)

    monkeypatch.setattr(FileConnection, "exec_driver_sql", heard)
    return found


@pytest.mark.parametrize("question", QUESTIONS, ids=" ".join)
def test_a_question_is_answered_by_indexes(
    ask: Ask, incident: str, asked: list[tuple[str, Sequence[Any]]], question: tuple[str, ...]
) -> None:
    assert ask(*question).code in (0, 2)
    assert asked
    path = file_of(incident)
    assert path
    with sqlite3.connect(path) as connection:
        for sql, values in asked:
            plan = [str(row[3]) for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", values)]
            scanned = {found[1] for line in plan if (found := re.match(r"SCAN (\w+)", line))}
            assert not scanned & GROWING, (sql, plan)
