"""Logs of earlier versions: this program would decide the same, byte for byte, or it says where and how it would not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import zstandard
from typer.testing import CliRunner, Result

from kro_es.api.objects import JsonObject
from kro_es.cli.operator import app
from kro_es.decisions import children
from kro_es.events.types import InstanceSettled, OutcomeUnknown, ReconcileDecided, WriteFailed
from kro_es.store.engine import open_engine
from kro_es.store.log_reader import LogReader
from kro_es.store.migrate import migrate

LOGS = sorted((Path(__file__).parent / "logs").glob("*.db.zst"))


@pytest.fixture(params=LOGS, ids=lambda log: log.name)
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Unpacked, with the key of its digests beside it, at this program's schema."""
    database = tmp_path / "log.db"
    database.write_bytes(zstandard.ZstdDecompressor().decompress(request.param.read_bytes()))
    (tmp_path / "log.db.key").write_text("k" * 32 + "\n")
    engine = open_engine(f"sqlite:///{database}")
    migrate(engine)
    engine.dispose()
    return database


def replay(log: Path, *more: str) -> Result:
    return CliRunner().invoke(app, ["replay", "--database", f"sqlite:///{log}", *more])


def test_every_decision_comes_out_as_recorded(log: Path) -> None:
    found = replay(log, "-o", "json")
    assert found.exit_code == 0, found.output
    report = json.loads(found.output)
    assert report["differences"] == []
    assert report["sorts"]["instances"] == {"equal": 63, "different": 0, "unknown": 0}
    assert {why for _, _, why in report["unknown"]} == {"recorded without its position"}
    assert "\ninstances:    63 equal, 0 different, 0 not comparable\n" in replay(log).output
    assert found.output == replay(log, "-o", "json").output


def test_a_log_has_drift_failures_and_an_unknown_outcome(log: Path) -> None:
    """Otherwise equality would say little."""
    engine = open_engine(f"sqlite:///{log}")
    bodies = [event.body for event in LogReader(engine).read(1, 100_000)]
    engine.dispose()
    decided = [body for body in bodies if isinstance(body, ReconcileDecided)]
    assert any(body.drift for body in decided)
    assert any(body.given.get("failed") for body in decided)
    assert {write.verb for body in decided for write in body.writes} >= {"apply", "delete", "patch", "put"}
    assert {"ACTIVE", "ERROR"} <= {body.state for body in bodies if isinstance(body, InstanceSettled)}
    assert any(isinstance(body, WriteFailed) for body in bodies)
    assert any(isinstance(body, OutcomeUnknown) for body in bodies)


def test_a_program_that_decides_otherwise_is_told_where(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stamped = children.stamped

    def other(item: children.Item) -> JsonObject:
        found = stamped(item)
        found["metadata"]["labels"] = {**found["metadata"]["labels"], "new": "label"}
        return found

    monkeypatch.setattr(children, "stamped", other)
    found = replay(log)
    assert found.exit_code == 1
    assert ": reconcile.decided comes out otherwise\n      writes\n        recorded    [{" in found.output
    assert ":    5 equal, 58 different, 0 not comparable\n" in found.output


def test_without_the_key_nothing_is_guessed(log: Path) -> None:
    Path(f"{log}.key").unlink()
    found = replay(log)
    assert found.exit_code == 1
    assert "--redaction-key-file takes the file the controller used" in str(found.exception)
