"""Whatever users, others and crashes do: it converges, leaves no orphan, and at rest it writes nothing at all."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from kro_es.api.objects import ObjectRef, labels
from kro_es.errors import ApiError
from tests.contract.instances.shapes import cm, rgd, shop
from tests.support.fake_cluster import Call, Fault
from tests.support.inside import Inside, copied, empty_database

PART_OF = "applyset.kubernetes.io/part-of"
INVENTORY = "applyset.kubernetes.io/contains-group-kinds"
UNLABELLED = {"metadata": {"labels": {PART_OF: None}}}
SECRET = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "${schema.metadata.name}-key"}}
NODES = {
    "a": cm("a", {"c": "${schema.spec.color}"}),
    "b": cm("b", {"v": "${a.data.c}"}),
    "mon": cm("mon", {"on": "yes"}, includeWhen=["${schema.spec.mon}"]),
    "dash": cm("dash", {"of": "${mon.metadata.name}"}),
    "key": {"id": "key", "template": SECRET, "includeWhen": ["${schema.spec.mon}"]},
    "pieces": cm("pieces", {"n": "${n}"}, name="${schema.metadata.name}-${n}", forEach=[{"n": "${schema.spec.names}"}]),
    "sum": cm("sum", {"count": "${string(size(pieces))}"}),
}
NEEDS = {"b": "a", "dash": "mon", "sum": "pieces"}

names = st.sampled_from(["one", "two", "three"])
colors = st.sampled_from(["red", "green", "blue"])
graphs = st.sets(st.sampled_from(sorted(NODES)), min_size=1).map(
    lambda found: tuple(sorted(found | {NEEDS[node] for node in found if node in NEEDS}))
)
specs = st.fixed_dictionaries(
    {"color": colors, "mon": st.booleans(), "names": st.lists(st.sampled_from("xyz"), unique=True)}
)
numbers = st.integers(0, 1000)

_TEMPLATE: list[Path] = []


def template() -> Path:
    if not _TEMPLATE:
        _TEMPLATE.append(empty_database(Path(tempfile.mkdtemp()) / "template.db"))
    return _TEMPLATE[0]


def wanted(name: str, spec: dict[str, Any], graph: tuple[str, ...]) -> dict[str, dict[str, str]]:
    """What should be there for an instance, by kind and name."""
    found: dict[str, dict[str, str]] = {}
    made = {
        "a": {f"ConfigMap {name}-a": {"c": spec["color"]}},
        "b": {f"ConfigMap {name}-b": {"v": spec["color"]}},
        "mon": {f"ConfigMap {name}-mon": {"on": "yes"}} if spec["mon"] else {},
        "dash": {f"ConfigMap {name}-dash": {"of": f"{name}-mon"}} if spec["mon"] else {},
        "key": {f"Secret {name}-key": {}} if spec["mon"] else {},
        "pieces": {f"ConfigMap {name}-{n}": {"n": n} for n in spec["names"]},
        "sum": {f"ConfigMap {name}-sum": {"count": str(len(spec["names"]))}},
    }
    for node in graph:
        found |= made[node]
    return found


class Instances(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = Path(tempfile.mkdtemp())
        self.inside = Inside(copied(template(), self.folder / "log.db"))
        self.graph: tuple[str, ...] = ()
        self.specs: dict[str, dict[str, Any]] = {}
        self.trouble = False

    def do(self, work: Coroutine[Any, Any, None]) -> None:
        self.loop.run_until_complete(work)

    def pick(self, number: int) -> ObjectRef | None:
        """Some child."""
        found = sorted(ref for ref, obj in self.inside.server.objects.items() if PART_OF in labels(obj))
        return found[number % len(found)] if found else None

    @initialize(graph=graphs)
    def begin(self, graph: tuple[str, ...]) -> None:
        self.do(self.inside.start())
        self.define(graph)

    # --- what users do ------------------------------------------------------------------------------------------

    @rule(graph=graphs)
    def define(self, graph: tuple[str, ...]) -> None:
        self.do(self.inside.define(rgd(*(NODES[node] for node in NODES if node in graph))))
        self.graph = graph

    @rule(name=names, spec=specs)
    def write(self, name: str, spec: dict[str, Any]) -> None:
        if name in self.specs:
            self.do(self.inside.edit("WebShop", name, {"spec": spec}))
        elif self.inside.server.find("WebShop", name) is None:
            self.do(self.inside.create(shop(name, **spec)))
        else:
            return
        self.specs[name] = spec

    @rule(name=names)
    def delete(self, name: str) -> None:
        if self.specs.pop(name, None) is not None:
            self.do(self.inside.delete("WebShop", name))

    @rule(name=names, value=st.sampled_from(["suspended", None]))
    def suspend(self, name: str, value: str | None) -> None:
        if name in self.specs:
            body = {"metadata": {"annotations": {"kro.run/reconcile": value}}}
            self.do(self.inside.edit("WebShop", name, body))

    # --- what others do to children -----------------------------------------------------------------------------

    @rule(number=numbers, body=st.sampled_from([
        {"data": {"c": "hand"}}, {"data": {"v": "hand", "mine": "1"}}, {"data": {"n": "hand"}}, {"data": None},
        UNLABELLED, {"metadata": {"labels": {"kro.run/node-id": None}}},
        {"metadata": {"annotations": None}}, {"metadata": {"finalizers": ["acme.io/hold"]}},
        {"metadata": {"finalizers": []}},
    ]))  # fmt: skip
    def touch(self, number: int, body: dict[str, Any]) -> None:
        ref = self.pick(number)
        if ref is None or (body == UNLABELLED and not self.comes_back(ref)):
            return
        self.inside.server.patch(ref, body, "mallory")
        self.do(self.inside.rest())

    def comes_back(self, ref: ObjectRef) -> bool:
        """Whether the label is put back: what is not wanted and has lost it belongs to nobody, by contract."""
        free = [
            name
            for name in self.specs
            if "kro.run/reconcile" not in self.inside.get("WebShop", name)["metadata"]["annotations"]
        ]
        mine = {key for name in free for key in wanted(name, self.specs[name], self.graph)}
        return not self.trouble and not self.inside.retrying and f"{ref.kind} {ref.name}" in mine

    @rule(number=numbers)
    def remove(self, number: int) -> None:
        ref = self.pick(number)
        if ref is not None:
            self.inside.server.delete(ref)
            self.do(self.inside.rest())

    # --- what goes wrong ----------------------------------------------------------------------------------------

    @rule(expired=st.booleans())
    def lose_watches(self, expired: bool) -> None:
        self.inside.server.break_watches(expired=expired)
        self.do(self.inside.rest())

    @rule(number=st.integers(1, 12), when=st.sampled_from(["before", "after"]), name=names, spec=specs)
    def crash(self, number: int, when: str, name: str, spec: dict[str, Any]) -> None:
        """The controller dies at a call of the pass that a user's edit starts, and another one takes over."""
        controller = self.inside.controller
        assert controller is not None
        last = len(controller.connection.calls) + number

        def die(call: Call) -> Fault | None:
            return Fault(when) if call.number == last else None

        controller.connection.fault = die
        self.write(name, spec)
        self.do(self.inside.restart())

    @rule()
    def restart(self) -> None:
        self.do(self.inside.restart())

    @rule(number=numbers)
    def refuse(self, number: int) -> None:
        """Writes of some children are denied until time passes."""

        def deny(verb: str, obj: dict[str, Any]) -> ApiError | None:
            hit = (
                verb == "apply" and PART_OF in labels(obj) and sum(map(ord, obj["metadata"]["name"])) % 3 == number % 3
            )
            return ApiError(403, "Forbidden", "denied") if hit else None

        self.inside.server.refuse = deny
        self.trouble = True

    @precondition(lambda self: self.trouble)
    @rule()
    def relent(self) -> None:
        self.inside.server.refuse = lambda verb, obj: None
        self.trouble = False
        self.do(self.inside.pass_time())

    @rule()
    def pass_time(self) -> None:
        self.do(self.inside.pass_time())

    # --- what holds at every moment -----------------------------------------------------------------------------

    @invariant()
    def every_child_is_in_the_inventory_of_its_instance(self) -> None:
        instances = {
            labels(obj).get("applyset.kubernetes.io/id"): obj
            for ref, obj in self.inside.server.objects.items()
            if ref.kind == "WebShop"
        }
        for ref, obj in self.inside.server.objects.items():
            if PART_OF in labels(obj):
                owner = instances[labels(obj)[PART_OF]]
                assert ref.kind in owner["metadata"]["annotations"][INVENTORY].split(","), ref

    @invariant()
    def a_pass_that_finds_nothing_asks_and_writes_nothing(self) -> None:
        controller = self.inside.controller
        if controller is None or self.inside.retrying:
            return
        calls, length, versions = len(self.inside.calls), len(self.inside.events()), self.inside.versions()
        controller.assembled.projector.requeue()
        self.do(self.inside.rest())
        assert self.inside.calls[calls:] == []
        assert [event.body for event in self.inside.events()[length:]] == []
        assert self.inside.versions() == versions

    def teardown(self) -> None:
        try:
            if self.inside.controller is not None:
                self.do(self._come_to_an_end())
        finally:
            self.loop.close()
            shutil.rmtree(self.folder)

    async def _come_to_an_end(self) -> None:
        """With everybody gone who disturbs, the cluster is what was asked for, and the log is whole."""
        inside = self.inside
        inside.server.refuse = lambda verb, obj: None
        for name in self.specs:
            await inside.edit("WebShop", name, {"metadata": {"annotations": {"kro.run/reconcile": None}}})
        for ref in list(inside.server.objects):
            if ref in inside.server.objects and PART_OF in labels(inside.server.objects[ref]):
                inside.server.patch(ref, {"metadata": {"finalizers": []}})
                await inside.rest()
        for _ in itertools.takewhile(lambda _: inside.retrying, range(10)):
            await inside.pass_time(1000)
        assert inside.names("WebShop") == sorted(self.specs)
        assert {name: inside.state(name) for name in self.specs} == dict.fromkeys(self.specs, "ACTIVE")
        there = {
            f"{ref.kind} {ref.name}": obj.get("data") or {}
            for ref, obj in inside.server.objects.items()
            if ref.kind in ("ConfigMap", "Secret")
        }
        expected = {
            key: data for name, spec in self.specs.items() for key, data in wanted(name, spec, self.graph).items()
        }
        assert sorted(there) == sorted(expected)
        # keys of others stay
        ours = {key: {name: there[key].get(name) for name in data} for key, data in expected.items()}
        assert ours == expected
        assert inside.rows("open_writes") == {}
        await inside.end()
        assert inside.log_faults() == []
        assert inside.row_faults() == []
        report = inside.replayed()
        assert (report.differences, report.unknown) == ([], [])


TestInstances = Instances.TestCase
TestInstances.settings = settings(
    max_examples=12,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    # a failing run takes seconds as it is: making it shorter would take minutes
    phases=(Phase.generate,),
)
