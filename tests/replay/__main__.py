"""``python -m tests.replay``: records logs that are not there yet, and notes the rows of new versions of projections."""

from __future__ import annotations

import asyncio
import json
import tempfile
from dataclasses import replace
from pathlib import Path

from kro_es.errors import ApiError
from kro_es.events.types import Actor
from kro_es.projections.registry import PROJECTIONS
from kro_es.store.engine import open_engine
from kro_es.store.live_rebuild import live_rebuild
from kro_es.store.prune import plan, prune
from kro_es.store.redact import plan as plan_redaction
from kro_es.store.redact import redact
from kro_es.store.transfer import export
from tests.contract.instances.shapes import CFG, cm, rgd, shop
from tests.replay.rows import HERE, NOTED, digests, noted
from tests.support.fake_cluster import Fault
from tests.support.inside import Inside, empty_database

_SOMEBODY = Actor("somebody", "cli")


async def _life(inside: Inside) -> None:
    """Definitions and instances come, change, drift, fail, wait, are restarted over, and go."""
    await inside.define(rgd(CFG, cm("more", {"n": "${string(schema.spec.n)}", "of": "${cfg.data.color}"})))
    await inside.create(*(shop(name, color="red", n=index) for index, name in enumerate(("a", "b", "c"))))
    await inside.edit("WebShop", "a", {"spec": {"color": "blue"}})
    await inside.edit("ConfigMap", "a-cfg", {"data": {"color": "green"}}, manager="somebody")
    assert inside.controller is not None
    denied = Fault("before", ApiError(403, "Forbidden", "denied"))
    inside.controller.connection.fault = lambda call: denied if call.ref.name == "b-cfg" else None
    await inside.edit("WebShop", "b", {"spec": {"color": "black"}})
    inside.controller.connection.fault = lambda call: None
    await inside.pass_time()
    await inside.define(rgd(CFG, cm("more", {"n": "${string(schema.spec.n + 1)}"})))
    await inside.end()
    inside.server.delete(inside.ref("ConfigMap", "c-more"))
    await inside.start()
    await inside.delete("WebShop", "a")
    await inside.delete("WebShop", "b")


async def _upkeep(inside: Inside) -> None:
    """What is looked after: rules, status that is pruned, a value that is redacted, projections folded anew."""
    inside.settings = replace(inside.settings, redact=("WebShop:spec.key",))
    await inside.restart()
    await inside.define(rgd(cm("cfg", {"color": "${schema.spec.color}", "key": "${schema.spec.key}"})))
    await inside.create(shop("a", color="slipped-through", key="never-recorded"))
    for number in range(5):
        await inside.edit("ConfigMap", "a-cfg", {"status": {"beat": number}}, status=True)
    await inside.edit("WebShop", "a", {"spec": {"color": "red"}})
    await inside.end()
    engine = open_engine(inside.url)
    now = inside.clock()
    prune(engine, plan(engine, now), actor=_SOMEBODY, now=now)
    redact(engine, plan_redaction(engine, ["slipped-through"]), reason="it slipped through", actor=_SOMEBODY, now=now)
    live_rebuild(engine, PROJECTIONS, actor=_SOMEBODY, now=now)
    engine.dispose()


async def _record(path: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        inside = Inside(empty_database(Path(folder, "log.db")))
        await inside.start()
        await {"life": _life, "upkeep": _upkeep}[path.name.split("-")[0]](inside)
        await inside.end()
        engine = open_engine(inside.url)
        export(engine, path)
        engine.dispose()


def main() -> None:
    for name in ("life-1", "upkeep-1"):
        path = HERE / f"{name}.jsonl.zst"
        if not path.exists():
            asyncio.run(_record(path))
    found = noted()
    for path in sorted(HERE.glob("*.jsonl.zst")):
        known = found.setdefault(path.name, {})
        known.update({version: digest for version, digest in digests(path).items() if version not in known})
    NOTED.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
