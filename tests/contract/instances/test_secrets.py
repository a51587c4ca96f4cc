"""Planted values are nowhere: not in the database, its write-ahead log, what is exported from it, or the log lines."""

from __future__ import annotations

import base64
import io
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import orjson
import pytest
import structlog
import zstandard

from kro_es.controller.telemetry import HIDDEN, configure_logging
from kro_es.errors import ApiError
from kro_es.events.types import ObjectObserved, ReconcileDecided
from kro_es.store.backup import backup
from kro_es.store.engine import open_engine
from kro_es.store.transfer import export
from tests.contract.instances.shapes import CFG, Object, cm, rgd, shop
from tests.support.fake_cluster import Call, Fault
from tests.support.inside import Inside
from tests.support.steps import config_map

KEY = "planted-in-the-instance"
PASSWORD = "planted-in-a-secret"
TOKEN = "planted-in-a-config-map"
PLANTED = (KEY, PASSWORD, TOKEN)
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    before = structlog.get_config()
    configure_logging("debug")
    written = io.StringIO()
    structlog.configure(cache_logger_on_first_use=False, logger_factory=structlog.PrintLoggerFactory(written))
    yield written
    HIDDEN.texts = tuple
    structlog.configure(**before)


def _secret(node: str, data: dict[str, str]) -> Object:
    template = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": f"${{schema.metadata.name}}-{node}"}}
    return {"id": node, "template": {**template, "stringData": data}}


def _everything(inside: Inside) -> str:
    """Events in full, every row of every table, the raw bytes of the files, an export and a backup."""
    events = [orjson.dumps(event, default=str).decode() for event in inside.events()]
    path = inside.url.removeprefix("sqlite:///")
    with sqlite3.connect(path) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        rows = [repr(row) for table in tables for row in connection.execute(f"SELECT * FROM {table}")]
    connection.close()
    engine = open_engine(inside.url)
    folder = Path(path).parent / "copies"
    folder.mkdir(exist_ok=True)
    number = len(list(folder.iterdir()))
    export(engine, folder / f"{number}.jsonl.zst")
    backup(engine, folder / f"{number}.db", now=1)
    engine.dispose()
    with (folder / f"{number}.jsonl.zst").open("rb") as packed:
        rows.append(zstandard.ZstdDecompressor().stream_reader(packed).read().decode())
    files = [file.read_bytes().decode("latin-1") for file in folder.iterdir()]
    files += [file.read_bytes().decode("latin-1") for file in Path(path).parent.glob(f"{Path(path).name}*")]
    return "\n".join([*events, *rows, *files])


def _found(text: str) -> list[str]:
    """Planted values, clear or as a Secret has them."""
    return [value for value in PLANTED if value in text or base64.b64encode(value.encode()).decode()[:-4] in text]


async def _restart(inside: Inside, *rules: str) -> None:
    inside.settings = replace(inside.settings, redact=rules)
    await inside.restart()
    assert inside.controller is not None
    HIDDEN.texts = lambda: inside.controller.assembled.world.ingest.vault.texts if inside.controller else ()


async def test_planted_values_are_nowhere(inside: Inside, lines: io.StringIO) -> None:
    await _restart(inside, "WebShop:spec.key", "WebShop:spec.ns", "WebShop:spec.team", "ConfigMap:data.*_TOKEN")
    held = {"A_TOKEN": "${schema.spec.team}", "copied": "${schema.spec.key}", "open": "${schema.spec.color}"}
    read = {"joined": "${'x-' + string(db.data.password)}", "token": "${held.data.A_TOKEN}"}
    resources = (_secret("db", {"password": "${schema.spec.ns}"}), cm("held", held), cm("read", read))
    await inside.define(rgd(*resources, status={"echo": "${schema.spec.key + held.data.A_TOKEN}"}))

    def refuse(call: Call) -> Fault | None:
        text = f'admission webhook denied: "{PASSWORD}" and {TOKEN} are weak; {KEY}'
        hit = call.verb == "apply" and call.ref.kind == "Secret"
        return Fault("before", ApiError(422, "Invalid", text)) if hit else None

    assert inside.controller is not None
    inside.controller.connection.fault = refuse
    applied = {"color": "red", "key": KEY, "ns": PASSWORD, "team": TOKEN, "mon": False}
    instance = shop(**applied)
    instance["metadata"]["annotations"] = {LAST_APPLIED: orjson.dumps(applied).decode()}
    await inside.create(instance)
    assert "denied" in inside.message()
    inside.controller.connection.fault = lambda call: None
    await inside.pass_time()
    assert inside.get("WebShop", "shop")["status"]["echo"] == KEY + TOKEN
    await inside.edit("WebShop", "shop", {"spec": {"color": "blue"}})
    structlog.get_logger().warning("a careless line", error=f"{KEY} {PASSWORD}")
    assert inside.get("Secret", "shop-db")["data"]["password"] == base64.b64encode(PASSWORD.encode()).decode()
    assert inside.data("shop-held")["copied"] == KEY
    assert inside.data("shop-read") == {"joined": f"x-{PASSWORD}", "token": TOKEN}
    shown = lines.getvalue()
    assert "a careless line" in shown
    assert _found(shown) == []
    assert _found(_everything(inside)) == []
    # what is not to be hidden is there
    assert "blue" in _everything(inside)


async def test_an_expression_that_fails_on_a_value_does_not_tell_it(inside: Inside) -> None:
    await _restart(inside, "WebShop:spec.key")
    await inside.define(
        rgd(cm("cfg", {"a": "${string(timestamp(schema.spec.key))}", "b": "${string([1][int(schema.spec.key)])}"}))
    )
    await inside.create(shop(key=KEY))
    assert inside.state() == "ERROR"
    assert KEY not in str(inside.get("WebShop", "shop")["status"])
    assert _found(_everything(inside)) == []


async def test_a_new_key_is_never_drift(inside: Inside) -> None:
    await inside.define(rgd(_secret("db", {"password": "${schema.spec.key}"}), CFG))
    await inside.create(shop(key=PASSWORD, color="red"))
    before, seen = inside.versions(), len(inside.events())
    inside.key = b"another key" * 4
    await inside.restart()
    await inside.pass_time()
    assert inside.versions() == before
    assert inside.writes() == []
    later = inside.events()[seen:]
    assert not [event for event in later if isinstance(event.body, ReconcileDecided) and event.body.drift]
    redigested = [event.subject.kind for event in later if isinstance(event.body, ObjectObserved)]
    assert redigested == ["Secret"]
    # and from here on it is as ever
    await inside.edit("Secret", "shop-db", {"data": {"password": "b3RoZXI="}})
    await inside.pass_time()
    assert inside.get("Secret", "shop-db")["data"]["password"] == base64.b64encode(PASSWORD.encode()).decode()
    assert [event for event in inside.events() if isinstance(event.body, ReconcileDecided) and event.body.drift]


async def test_a_rule_that_comes_later_is_no_drift(inside: Inside) -> None:
    await inside.define(rgd(config_map("cfg", "${schema.metadata.name}-cfg", {"A_TOKEN": "${schema.spec.key}"})))
    await inside.create(shop(key=KEY))
    before, seen = inside.versions(), len(inside.events())
    await _restart(inside, "ConfigMap:data.*_TOKEN")
    await inside.pass_time()
    assert inside.versions() == before
    later = inside.events()[seen:]
    assert not [event for event in later if isinstance(event.body, ReconcileDecided)]
    recorded = inside.rows("objects")["/ConfigMap/team-a/shop-cfg"]["object"]
    assert KEY not in str(recorded)
