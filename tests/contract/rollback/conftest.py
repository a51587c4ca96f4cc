"""A running controller on a fake cluster, and ``kro-history`` beside it, on the same log and the same cluster."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from kro_es.api.objects import ObjectRef
from kro_es.errors import Interrupted
from kro_es.history import rollback, targets
from kro_es.history.progress import Progress, progress
from kro_es.history.source import History, open_history
from kro_es.history.whole import Rollback, Wanted
from kro_es.plan import owned
from tests.contract.instances.shapes import cm, rgd, shop
from tests.support.fake_cluster import Call, Connection, Fault
from tests.support.inside import Inside, copied, empty_database

MANY = 20
NAMES = [f"shop-{number:02d}" for number in range(MANY)]


def web(color: str, *more: dict[str, Any], **schema: Any) -> dict[str, Any]:
    """The definition; its edits differ in a literal, in nodes, or in the schema."""
    return rgd(cm("cfg", {"color": color, "key": "${schema.spec.key}"}), *more, **schema)


@dataclass
class Desk:
    """What somebody with ``kro-history`` does; ``fault`` strikes its requests, ``user`` is who asks."""

    inside: Inside
    fault: Callable[[Call], Fault | None] = lambda call: None
    connection: Connection = field(init=False)

    @property
    def history(self) -> History:
        return open_history(self.inside.url, self.inside.server.now + 60_000_000)

    def _connected(self) -> Connection:
        self.connection = Connection(self.inside.server, self.fault)
        return self.connection

    async def plan(
        self, target: str = "webshop-rgd", *, to: str, whole: bool = False, hold: bool = False, spec_only: bool = False
    ) -> Rollback:
        history = self.history
        found = targets.find(history, target, "team-a")
        return await rollback.planned(history, self._connected(), found, Wanted(to, whole, hold, spec_only))

    async def carry_out(self, made: Rollback, **more: Any) -> rollback.Written:
        """The controller has come to rest afterwards."""
        cluster = self._connected()
        written = await rollback.carry_out(self.history, cluster, made, "it was better", seconds=10, **more)
        await self.inside.rest()
        return written

    async def roll_back(self, target: str = "webshop-rgd", *, to: str, whole: bool = False, **more: Any) -> Progress:
        made = await self.plan(target, to=to, whole=whole, hold=more.get("hold", False))
        return progress(self.history, made, await self.carry_out(made, **more))

    async def killed(self, made: Rollback, **more: Any) -> None:
        """Carried out until a fault ends the process."""
        work = asyncio.create_task(rollback.carry_out(self.history, self._connected(), made, "it was better", **more))
        while not (self.connection.dead or work.done()):
            await asyncio.sleep(0)
        work.cancel()
        with suppress(asyncio.CancelledError, Interrupted):
            await work
        self.fault = lambda call: None
        await self.inside.rest()

    def position(self) -> str:
        return str(self.history.head)

    def graph(self) -> dict[str, Any]:
        """Specs, and of every child the fields we own: what a rolled back graph is compared by."""
        found: dict[str, Any] = {}
        for ref, obj in self.inside.server.objects.items():
            fields = owned.own_fields(obj, "kro.run/applyset")
            if fields is not None:
                found[ref.key] = owned.owned_digest(_without_versions(obj), fields)
            elif ref.kind == "WebShop":
                known = self._served(obj["spec"])
                found[ref.key] = known
        return found

    def _served(self, spec: dict[str, Any]) -> dict[str, Any]:
        """As the API server shows it: what the schema does not have is pruned."""
        crd = self.inside.get("CustomResourceDefinition", "webshops.kro.run")
        schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        return {name: value for name, value in spec.items() if name in schema["properties"]["spec"]["properties"]}


def _without_versions(obj: dict[str, Any]) -> dict[str, Any]:
    """Labels with the identity of the instance: one that is made again has another uid."""
    meta = dict(obj["metadata"])
    meta["labels"] = {name: value for name, value in meta["labels"].items() if name != "kro.run/instance-id"}
    return {**obj, "metadata": meta}


def ref(name: str) -> ObjectRef:
    return ObjectRef("kro.run", "WebShop", "team-a", name)


@pytest.fixture(scope="session")
def database_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return empty_database(tmp_path_factory.mktemp("log") / "template.db")


@pytest.fixture
async def desk(database_template: Path, tmp_path: Path) -> AsyncIterator[Desk]:
    found = Inside(copied(database_template, tmp_path / "log.db"))
    await found.start()
    yield Desk(found)
    await found.end()


@pytest.fixture
async def twenty(desk: Desk) -> Desk:
    """Twenty instances of the first revision."""
    await desk.inside.define(web("red"))
    await desk.inside.create(*(shop(name, key="one") for name in NAMES))
    return desk
