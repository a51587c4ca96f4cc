"""No question goes through a table that grows with the log: the database says so of every statement that is asked."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from kro_es.history import timeline
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
    ("log", "--actor", "dana"),
    ("pins",),
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


SELECTIONS = (
    {"kind": "Deployment"}, {"name": "shop"}, {"namespace": "staging"}, {"actor": "dana"}, {"actor": "kro-es"},
    {"definition": "webshop"}, {"type": "write.failed"}, {"type": "instance.settled", "name": "blog"},
    {"kind": "webshop", "name": "docs"}, {"actor": "kubectl-edit", "kind": "configmap"}, {"actor": "dana", "name": "webshop"},
    {"name": "shop", "since": "40", "until": "120"}, {"kind": "Deployment", "namespace": "staging", "until": "90"},
)  # fmt: skip


@pytest.mark.parametrize("limit", ["3", "1000"])
@pytest.mark.parametrize("selection", SELECTIONS, ids=lambda one: " ".join(f"{k}={v}" for k, v in one.items()))
@pytest.mark.parametrize("newest", [1, 30, 10_000])
def test_events_that_fit_are_the_same_however_they_are_looked_for(
    ask: Ask, monkeypatch: pytest.MonkeyPatch, selection: dict[str, str], newest: int, limit: str
) -> None:
    everything = ask("log", "--limit", "1000", "-o", "json").json
    definition = {
        row["position"] for row in ask("log", "--definition", "webshop", "--limit", "1000", "-o", "json").json
    }
    monkeypatch.setattr(timeline, "_NEWEST", newest)
    words = [word for name, value in selection.items() for word in (f"--{name}", value)]
    told = ask("log", *words, "--limit", limit, "-o", "json")
    fitting = [row for row in everything if _fits(row, selection, definition)]
    assert told.json == fitting[-int(limit) :] != []


def _fits(row: dict[str, Any], selection: dict[str, str], definition: set[int]) -> bool:
    kind, _, name = row["object"].partition("/")
    found = {**row, "kind": kind, "name": name}
    bounds = int(selection.get("since", 0)) < row["position"] <= int(selection.get("until", 10**9))
    equal = all(
        found[key].lower() == selection[key].lower()
        for key in ("kind", "name", "namespace", "actor", "type")
        if key in selection
    )
    return bounds and equal and ("definition" not in selection or row["position"] in definition)


@pytest.mark.parametrize(
    "question",
    [("--name", "nobody"), ("--actor", "nobody"), ("-n", "nowhere"), ("--name", "shop", "--kind", "Service")],
    ids=" ".join,
)
def test_what_the_log_never_heard_of_is_not_looked_for_in_it(
    ask: Ask, asked: list[tuple[str, Sequence[Any]]], question: tuple[str, ...]
) -> None:
    assert ask("log", *question).code == 1
    assert asked
    assert [sql for sql, _ in asked if "p_timeline" in sql] == []


def test_what_people_did_is_found_by_an_index(ask: Ask, incident: str, asked: list[tuple[str, Sequence[Any]]]) -> None:
    assert len(ask("log", "--actor", "dana", "-o", "jsonl").lines) >= 1
    path = file_of(incident)
    assert path
    with sqlite3.connect(path) as connection:
        plans = [
            str(row[3])
            for sql, values in asked
            for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", values)
            if "p_timeline" in sql
        ]
    assert any("ix_p_timeline_actor_source (actor_source=? AND actor=?" in plan for plan in plans), plans
