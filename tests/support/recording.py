"""A log worth replaying, recorded by the controller inside the process: ``python -m tests.support.recording FILE``.

Two revisions, a chain, a collection, a Secret, exclusion, drift, a fight, suspension, a refused write, a crash, deletion.
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import tempfile
from pathlib import Path
from typing import Any

import zstandard

from kro_es.errors import ApiError
from tests.contract.instances.shapes import cm, rgd, shop
from tests.support.fake_cluster import Fault
from tests.support.inside import Inside, empty_database

KEY = {
    "id": "key",
    "template": {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "${schema.metadata.name}-key"},
        "stringData": {"password": "not a real one"},
    },
}
A, B = cm("a", {"c": "${schema.spec.color}"}), cm("b", {"v": "${a.data.c}"})
PIECES = cm("pieces", {"n": "${n}"}, name="${schema.metadata.name}-${n}", forEach=[{"n": "${schema.spec.names}"}])
MON = cm("mon", {"count": "${string(size(pieces))}"}, includeWhen=["${schema.spec.mon}"])
STATUS = {"color": "${a.data.c}", "count": "${string(size(pieces))}"}


async def scenario(inside: Inside) -> None:
    await inside.start()
    await inside.define(rgd(A, B, PIECES, KEY, status=STATUS))
    await inside.create(shop(color="red", names=["x", "y"], mon=True), shop("other", color="red", names=[], mon=False))
    await inside.edit("WebShop", "shop", {"spec": {"names": ["y", "z"], "color": "blue"}})
    await inside.define(rgd(A, B, PIECES, KEY, MON, status=STATUS))
    await inside.edit("Secret", "shop-key", {"data": {"password": "c29tZW9uZQ=="}}, manager="mallory")
    for _ in range(7):
        await inside.edit("ConfigMap", "shop-a", {"data": {"c": "green"}}, manager="mallory")
    await inside.pass_time()
    await _suspended(inside)
    await _refused(inside)
    await _killed(inside)
    await inside.delete("WebShop", "shop")
    await inside.end()


async def _suspended(inside: Inside) -> None:
    for value in ("suspended", None):
        await inside.edit("WebShop", "other", {"metadata": {"annotations": {"kro.run/reconcile": value}}})
        if value:
            await inside.edit("ConfigMap", "other-a", {"data": {"c": "hand"}}, manager="mallory")


async def _refused(inside: Inside) -> None:
    def deny(verb: str, obj: dict[str, Any]) -> ApiError | None:
        return ApiError(403, "Forbidden", "denied") if obj["metadata"]["name"] == "other-b" else None

    inside.server.refuse = deny
    await inside.edit("WebShop", "other", {"spec": {"color": "black"}})
    inside.server.refuse = lambda verb, obj: None
    await inside.pass_time()


async def _killed(inside: Inside) -> None:
    assert inside.controller is not None
    connection = inside.controller.connection
    last = len(connection.calls) + 2
    connection.fault = lambda call: Fault("after") if call.number == last else None
    await inside.edit("WebShop", "other", {"spec": {"color": "white", "names": ["p", "q"]}})
    await inside.restart()


def record(target: Path) -> None:
    """The log alone, packed; projections are folded again where it is read."""
    with tempfile.TemporaryDirectory() as folder:
        database = empty_database(Path(folder) / "log.db")
        asyncio.run(scenario(Inside(database)))
        connection = sqlite3.connect(database)
        tables = connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'p\\_%' ESCAPE '\\'"
        )
        for (name,) in tables.fetchall():
            connection.execute(f"DELETE FROM {name}")
        connection.execute("DELETE FROM projection_checkpoints")
        connection.commit()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("VACUUM")
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.close()
        target.write_bytes(zstandard.ZstdCompressor(19).compress(database.read_bytes()))


if __name__ == "__main__":
    record(Path(sys.argv[1]))
