"""An incident: the share of a log that one instance's decisions can be made again from, here or as a file elsewhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import zstandard
from typer.testing import CliRunner, Result

from kro_es.cli.operator import app
from kro_es.cli.replay import as_text
from kro_es.errors import KroEsError
from kro_es.events.types import Actor, Event, InstanceSettled, ReconcileDecided
from kro_es.history.replay import Report
from kro_es.projections.registry import PROJECTIONS
from kro_es.store.engine import open_engine
from kro_es.store.live_rebuild import live_rebuild
from kro_es.store.log_reader import LogReader
from kro_es.store.migrate import migrate

LOGS = Path(__file__).parent / "logs"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    database = tmp_path / "log.db"
    packed = sorted(LOGS.glob("*.db.zst"))[-1]
    database.write_bytes(zstandard.ZstdDecompressor().decompress(packed.read_bytes()))
    (tmp_path / "log.db.key").write_text("k" * 32 + "\n")
    engine = open_engine(f"sqlite:///{database}")
    migrate(engine)
    live_rebuild(engine, PROJECTIONS, actor=Actor("somebody", "cli"), now=1)
    engine.dispose()
    return database


def replay(*args: str) -> Result:
    return CliRunner().invoke(app, ["replay", *args])


def of_instances(log: Path) -> list[Event]:
    engine = open_engine(f"sqlite:///{log}")
    found = LogReader(engine).read(1, 100_000)
    engine.dispose()
    kinds = ReconcileDecided | InstanceSettled
    return [one for one in found if one.stream.startswith("instance/") and isinstance(one.body, kinds)]


def test_each_instance_gives_its_decisions_from_its_share_of_the_log_alone(log: Path, tmp_path: Path) -> None:
    names = {(one.subject.kind.lower(), one.subject.namespace, one.subject.name) for one in of_instances(log)}
    assert len(names) >= 2
    for kind, namespace, name in sorted(names):
        mine = [one for one in of_instances(log) if (one.subject.name, one.subject.namespace) == (name, namespace)]
        file = tmp_path / f"{name}.zst"
        here = replay(
            f"sqlite:///{log}", "--incident", f"{kind}/{name}", "-n", namespace, "--out", str(file), "-o", "json"
        )
        assert here.exit_code == 0, here.output
        there = replay(str(file), "--redaction-key-file", f"{log}.key", "-o", "json")
        report: dict[str, Any] = json.loads(there.stdout)
        assert json.loads(here.stdout) == report
        assert report["differences"] == []
        assert {why for _, _, why in report["unknown"]} <= {"recorded without its position"}
        assert sum(count["equal"] for count in report["sorts"].values()) >= len(mine)
        assert file.stat().st_size < log.stat().st_size / 4


def test_an_incident_has_a_beginning_and_an_end(log: Path) -> None:
    mine = [one for one in of_instances(log) if one.subject.name == "shop"]
    first, last = mine[1].position, mine[-2].position
    name = f"{mine[0].subject.kind.lower()}/shop"
    found = replay("--database", str(log), "--incident", name, "--from", str(first), "--to", str(last), "-o", "json")
    assert found.exit_code == 0, found.output
    assert json.loads(found.stdout)["sorts"]["instances"]["equal"] == len(mine) - 2


def test_what_is_no_incident_is_told(log: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "x.zst"
    damaged.write_bytes(zstandard.compress(b'{"form":"kro-es incident 1","events":3}\n'))
    whole = tmp_path / "whole.zst"
    assert CliRunner().invoke(app, ["db", "export", "--database", f"sqlite:///{log}", str(whole)]).exit_code == 0
    for args, text in (
        ((str(damaged),), "is not whole: it should hold 3 events, not 0"),
        ((str(whole),), "is no incident but a 'kro-es log 1'; of a whole log: kro-es db import"),
        ((str(log), "--incident", "webshop/zz"), "nothing called 'webshop/zz' in this log"),
        ((str(log), "--incident", "cm/other-p"), "an incident is about one"),
        (
            (str(log), "--incident", "webshop/shop", "--from", "9999"),
            "nothing was decided about webshop team-a/shop from 9999",
        ),
        ((str(log), "--out", "x"), "--out is of an incident: say which with --incident KIND/NAME"),
        ((str(log), "--incident", "webshop/shop", "--out", str(damaged)), "is there already"),
    ):
        found = replay(*args)
        assert found.exit_code == 1
        assert isinstance(found.exception, KroEsError)
        assert text in str(found.exception)


def test_what_cannot_be_compared_is_told_once_a_reason() -> None:
    unknown = [
        (position, f"webshop team-a/{name}", "why")
        for name, at in (("a", 10), ("b", 20))
        for position in range(at, at + 7)
    ]
    lines = as_text(Report(unknown=unknown)).splitlines()
    assert lines[0] == (
        "14 not comparable: why: webshop team-a/a (10, 11, 12, 13, 14, …), webshop team-a/b (20, 21, 22, 23, 24, …)"
    )
