"""Every kind a cluster has without nodes: at rest nothing is written or recorded, and each field of ours is healed once.

The kinds are in ``kinds/``, a definition for each file. A nightly run edits every field, any other two of a kind.
"""

from __future__ import annotations

import itertools
import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kro_es.errors import ApiError
from kro_es.events.types import ObjectObserved, ReconcileDecided, ResourceApplied
from kro_es.store.engine import open_engine
from kro_es.store.log_reader import LogReader
from tests.conftest import Cluster
from tests.support.api import Api, Object
from tests.support.operator import Operator
from tests.support.replayed import differences
from tests.support.steps import Steps, condition, eventually, faults, instance, message
from tests.support.steps import definition as definition_of
from tests.support.sweep import Kind, Leaf, changes, leaves, marks, table
from tests.support.webhooks import Webhooks
from tests.support.widgets import WIDGETS, convert, crd, mutate, mutating

FILES = sorted((Path(__file__).parent / "kinds").glob("*.yaml"))
TABLES = {file.stem: table(file) for file in FILES}


def _is_true(found: tuple[str, str]) -> bool:
    return found[0] == "True"


SPEC = {"note": "string | default=none"}
_NO_DRIFT = ("kro-version", "part-of")
ELSEWHERE = {
    (f"{WIDGETS}/v2", "Widget"): "the same objects as v1",
    ("autoscaling/v1", "HorizontalPodAutoscaler"): "the same objects as autoscaling/v2",
    ("kro.run/v1alpha1", "ResourceGraphDefinition"): "ours",
    ("internal.kro.run/v1alpha1", "GraphRevision"): "ours",
}


@dataclass(frozen=True, slots=True)
class Child:
    """A live object of the sweep."""

    kind: Kind
    file: str
    path: str


class Sweep:
    """A running controller with an instance of each definition, and eyes on the objects, the log and the requests."""

    def __init__(self, cluster: Cluster, operator: Operator, api: Api, hooks: Webhooks) -> None:
        self.steps = Steps(cluster)
        self.cluster = cluster
        self.operator = operator
        self.api = api
        self.hooks = hooks
        self.children: list[Child] = []
        self.paths: dict[tuple[str, str], str] = {}
        self._editors = itertools.count(1)
        self._engine = open_engine(operator.database)

    def set_up(self) -> None:
        self.steps.apply(crd(self.hooks), mutating(self.hooks))
        self.cluster.kubectl("wait", "--for=condition=Established", f"crd/widgets.{WIDGETS}")
        # asked before there is an APIService that nobody answers for
        paths = self.paths = self.api.paths()
        for name, kinds in TABLES.items():
            self.steps.apply(definition_of(f"sweep-{name}", _kind(name), SPEC, *(kind.resource() for kind in kinds)))
        for name in TABLES:
            eventually(
                lambda name=name: self._told("rgd", f"sweep-{name}", "GraphAccepted"), _is_true, f"{name} active"
            )
            self.steps.active(f"sweep-{name}")
        self.steps.apply(*(instance(_kind(name), name, {}) for name in TABLES))
        for name in TABLES:
            look = lambda name=name: self._told(_kind(name), name, "ResourcesReady")  # noqa: E731
            eventually(look, _is_true, f"{name} ready")
        for name, kinds in TABLES.items():
            for kind in kinds:
                path = paths[kind.api, kind.kind].format(namespace=self.cluster.namespace, name=kind.named(name))
                self.children.append(Child(kind, name, path))

    def _told(self, kind: str, name: str, type_: str) -> tuple[str, str]:
        live = self.steps.get(kind, name)
        return condition(live, type_), message(live, type_)

    def settle(self) -> None:
        """Until the controllers of the cluster have nothing more to say for a while."""
        seen: list[tuple[int, float]] = []

        def still() -> float:
            seen.append((self.head(), time.monotonic()))
            return seen[-1][1] - min(at for head, at in seen if head == seen[-1][0])

        eventually(still, lambda seconds: seconds > 2, "the cluster is at rest")

    def close(self) -> None:
        self._engine.dispose()

    # --- the log --------------------------------------------------------------------------------------------------

    def head(self) -> int:
        return LogReader(self._engine).head()

    def since(self, position: int) -> list[Any]:
        return LogReader(self._engine).read(position + 1, 1_000_000)

    def drifts(self, position: int) -> list[tuple[int, str, str]]:
        """Decision, node and manager of each drift found after a position."""
        return [
            (event.position, change["node"], change["manager"])
            for event in self.since(position)
            if isinstance(event.body, ReconcileDecided)
            for change in {(c["node"], c["manager"]): c for c in event.body.drift}.values()
        ]

    def healed(self, position: int) -> set[tuple[int, str]]:
        return {(e.body.intent, e.body.node) for e in self.since(position) if isinstance(e.body, ResourceApplied)}

    def writes(self, mark: int) -> list[str]:
        """What the controller wrote to the API server, as the API server tells it."""
        requests = self.cluster.plane.audit.requests("controller", mark)
        return [f"{r.verb} {r.uri} {r.code}" for r in requests if r.verb not in ("get", "list", "watch")]

    # --- what others do -------------------------------------------------------------------------------------------

    def editor(self) -> str:
        """A field manager that was not there before: nobody repeats an offence."""
        return f"editor-{next(self._editors)}"

    def edit(self, child: Child, steps: list[Object], manager: str) -> bool:
        """Whether the server took one of them, and changed something."""
        before = self.api.get(child.path)
        for step in steps:
            try:
                after = self.api.edit(child.path, step, manager=manager)
            except ApiError as error:
                if error.status not in (400, 403, 422):
                    raise
                continue
            if after["metadata"]["resourceVersion"] != before["metadata"]["resourceVersion"]:
                return True
        return False

    def annotate(self) -> None:
        """Every object gets an annotation that is not ours; back when the log has seen all of them."""
        position, manager = self.head(), self.editor()
        for child in self.children:
            self.api.patch(child.path, {"metadata": {"annotations": {"example.com/by": manager}}})

        def seen() -> set[tuple[str, str, str]]:
            found = (event for event in self.since(position) if isinstance(event.body, ObjectObserved))
            return {
                (event.subject.group, event.subject.kind, event.subject.name)
                for event in found
                if event.body.object["metadata"].get("annotations", {}).get("example.com/by") == manager
            }

        wanted = {(_group(c.kind), c.kind.kind, c.kind.named(c.file)) for c in self.children}
        eventually(seen, lambda found: found >= wanted, "every watch delivers")


def _group(kind: Kind) -> str:
    # the API server delivers events of both groups in the one the controller watches
    return kind.api.rpartition("/")[0]


def _kind(name: str) -> str:
    return f"Sweep{name.capitalize()}"


@pytest.fixture(scope="module")
def sweep(control_plane: Any, kubelet: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sweep]:
    folder = tmp_path_factory.mktemp("sweep")
    cluster = Cluster(control_plane, "kind-sweep")
    cluster.kubectl("create", "namespace", cluster.namespace)
    with ExitStack() as stack:
        hooks = stack.enter_context(Webhooks(folder, mutate, convert))
        api = stack.enter_context(Api(cluster.kubeconfig()))
        operator = Operator(cluster.kubeconfig("controller"), folder).start()
        stack.callback(operator.stop)
        found = Sweep(cluster, operator, api, hooks)
        stack.callback(found.close)
        stack.callback(_clean, cluster)
        found.set_up()
        yield found


def _clean(cluster: Cluster) -> None:
    """What is left of it would be in the way of the next test's controller."""
    owned = json.loads(cluster.kubectl("get", "crd", "-l", "kro.run/owned=true", "-o", "json"))["items"]
    crds = [one["metadata"]["name"] for one in owned if one["spec"]["names"]["kind"].startswith("Sweep")]
    for name in crds:
        cluster.kubectl("delete", name, "--all", "-A", "--timeout=90s")
    cluster.kubectl("delete", "rgd", *(f"sweep-{name}" for name in TABLES), "--timeout=30s")
    cluster.kubectl("delete", "crd", *crds, f"widgets.{WIDGETS}", "--timeout=30s")
    cluster.kubectl("delete", "mutatingwebhookconfiguration", WIDGETS)
    cluster.kubectl("delete", "namespace", cluster.namespace, "--wait=false")


def test_the_table_has_every_kind_that_can_be_applied_and_watched(sweep: Sweep) -> None:
    swept = {(kind.api, kind.kind) for kinds in TABLES.values() for kind in kinds}
    # definitions and CRDs of other tests may be left on the server
    crds = json.loads(sweep.cluster.kubectl("get", "crd", "-o", "json"))["items"]
    defined = {
        (f"{crd['spec']['group']}/{version['name']}", crd["spec"]["names"]["kind"])
        for crd in crds
        for version in crd["spec"]["versions"]
    }
    others = defined - swept - ELSEWHERE.keys()
    assert sweep.paths.keys() - swept - others == ELSEWHERE.keys()


def test_at_rest_nothing_is_written_and_the_log_does_not_grow(sweep: Sweep, nightly: bool) -> None:
    sweep.annotate()
    sweep.settle()
    restless = {child.kind.named(child.file) for child in sweep.children if child.kind.restless}
    mark, position = sweep.cluster.plane.audit.mark(), sweep.head()
    time.sleep(60 if nightly else 3)  # the time of rest itself
    news = [event for event in sweep.since(position) if event.subject.name not in restless]
    assert [(event.type, event.subject, event.actor.name) for event in news] == []
    # and nothing was only late: every watch has delivered what came after
    position = sweep.head()
    sweep.annotate()
    assert sweep.writes(mark) == []
    news = [event for event in sweep.since(position) if event.subject.name not in restless]
    assert {event.type for event in news} == {ObjectObserved.TYPE}
    assert {event.subject.name for event in news} == {
        child.kind.named(child.file) for child in sweep.children
    } - restless


def test_what_others_own_in_our_objects_stays(sweep: Sweep) -> None:
    mark, position = sweep.cluster.plane.audit.mark(), sweep.head()
    for child in sweep.children:
        steps = [{"op": "add", "path": path, "value": value} for path, value in child.kind.free.items()]
        assert not steps or sweep.edit(child, steps, sweep.editor()), child.path
    sweep.annotate()
    assert sweep.drifts(position) == []
    assert sweep.writes(mark) == []
    deployment = next(child for child in sweep.children if child.kind.kind == "Deployment")
    eventually(lambda: sweep.api.get(deployment.path)["spec"]["replicas"], (3).__eq__, "the autoscaler has its minimum")
    gathered = next(child for child in sweep.children if child.kind.node == "gathered")
    assert sweep.api.get(gathered.path)["rules"] == [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]
    widget = sweep.api.get(next(child for child in sweep.children if child.kind.kind == "Widget").path)["spec"]
    assert (widget["mode"], widget["image"]) == ("auto", "mirror.example.com/app:1")
    assert widget["tags"] == ["injected", "one", "two"]
    pod = sweep.api.get(next(c for c in sweep.children if (c.file, c.kind.kind) == ("widgets", "Pod")).path)
    assert [container["name"] for container in pod["spec"]["containers"]] == ["proxy", "main"]


@pytest.mark.parametrize("file", TABLES)
def test_a_field_of_ours_that_another_changes_is_found_and_healed_once(sweep: Sweep, file: str, nightly: bool) -> None:
    mark, position = sweep.cluster.plane.audit.mark(), sweep.head()
    children = [child for child in sweep.children if child.file == file]
    before = {child.path: sweep.api.get(child.path) for child in children}
    queues = {child.path: _chosen(child.kind, before[child.path], nightly) for child in children}
    made: list[tuple[Child, Leaf, str]] = []
    refused: dict[str, set[str]] = {}
    while any(queues.values()):
        for child in children:
            while queues[child.path]:
                leaf, manager = queues[child.path].pop(0), sweep.editor()
                if sweep.edit(child, _changes(child, leaf, sweep.api), manager):
                    made.append((child, leaf, manager))
                    break
                refused.setdefault(child.kind.node, set()).add(leaf.pointer)
        wanted = Counter(child.kind.node for child, _, _ in made)

        def waiting(wanted: Counter[str] = wanted) -> Counter[str]:
            done = sweep.healed(position)
            return wanted - Counter(node for at, node, _ in sweep.drifts(position) if (at, node) in done)

        eventually(waiting, lambda found: not found, f"every edit is put back, of {[edit[1:] for edit in made]}")
    after = {child.path: _fields(sweep.api.get(child.path)) for child in children}
    assert after == {path: _fields(obj) for path, obj in before.items()}
    _told(sweep.drifts(position), made)
    written = Counter(text.split()[1].partition("?")[0] for text in sweep.writes(mark))
    edited = Counter(child.path for child, _, _ in made)
    assert (written - edited, edited - written) == (Counter(), Counter())
    if nightly:
        known = {child.kind.node: set(child.kind.fixed) for child in children if child.kind.fixed}
        if refused != known:
            pytest.fail(f"refused: {json.dumps({node: sorted(paths) for node, paths in refused.items()})}")


def _told(drifts: list[tuple[int, str, str]], made: list[tuple[Child, Leaf, str]]) -> None:
    """Each edit is one drift, by its field manager; who only takes something away leaves no trace of who it was."""
    found: dict[str, list[str]] = {}
    for _, node, manager in drifts:
        found.setdefault(node, []).append(manager)
    for child, leaf, manager in made:
        told = found[child.kind.node].pop(0)
        assert told in {"" if leaf.item or child.kind.shared else manager, manager, child.kind.shared or manager}, leaf
    assert not any(found.values()), found


def _chosen(kind: Kind, obj: Object, nightly: bool) -> list[Leaf]:
    """All, or the first and the last that can be changed."""
    found = leaves(obj)
    if nightly:
        # who takes an item away is unknown: more of that at once would look like one who fights
        items = [leaf for leaf in found if leaf.item][4:]
        found = [leaf for leaf in found if leaf not in items]
        # our version follows with the next real write; what is labelled as part of another set is not ours to heal
        return [
            *found,
            *(leaf for leaf in marks(obj) if kind.kind == "ConfigMap" and not leaf.path.endswith(_NO_DRIFT)),
        ]
    found = [leaf for leaf in found if leaf.pointer not in kind.fixed]
    return [found[0], *found[-1:]] if found else []


def _changes(child: Child, leaf: Leaf, api: Api) -> list[Object]:
    """At the place where it is now: an item of a list that came back may have another."""
    live = api.get(child.path)
    now = next(item for item in (*leaves(live), *marks(live)) if item.path == leaf.path)
    return changes(child.kind, now)


def _fields(obj: Object) -> dict[str, Any]:
    return {leaf.path: leaf.value for leaf in leaves(obj)}


def test_the_log_is_whole_and_every_decision_comes_out_again(sweep: Sweep) -> None:
    # controllers of the cluster go on writing: a log that grows cannot be compared with itself
    assert sweep.operator.stop() == 0
    try:
        assert faults(sweep.operator.database) == []
        assert differences(sweep.operator.database, sweep.operator.redaction_key) == []
    finally:
        # what the sweep made has finalizers
        sweep.operator.start()
