"""Plans that change which revision instances run: a pin, the end of one, and what an instance's rollback makes of it."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from kro_es.api import metadata
from kro_es.api.definition import parse
from kro_es.api.objects import Gvk, JsonObject, annotations_of, labels, terminating
from kro_es.api.selector import Selector
from kro_es.decisions.pin import mark_of, unkept
from kro_es.errors import UserError
from kro_es.events.types import InstanceSettled, ReconcileDecided
from kro_es.graph.compile import required_kinds
from kro_es.graph.node import ResourceGraph
from kro_es.history import compiled, pins, targets
from kro_es.history.compare import object_at
from kro_es.history.forecast import Forecast, Recorded, Side, forecast
from kro_es.history.revisions import parsed, revision
from kro_es.history.source import History
from kro_es.history.targets import RevisionName, Target
from kro_es.projections.projection import Row
from kro_es.schema.openapi import KindSchema

_FOLLOWED = (
    "SELECT r.* FROM p_instances i JOIN p_revisions r ON r.definition_uid = i.definition_uid AND r.number = i.revision"
    " WHERE i.key = ?"
)
_WOULD_FOLLOW = (
    "SELECT r.* FROM p_definitions d JOIN p_revisions r ON r.definition_uid = d.key AND r.number = d.active"
    " WHERE d.key = (SELECT definition_uid FROM p_timeline WHERE instance_uid = ? AND definition_uid <> ''"
    " ORDER BY key DESC LIMIT 1)"
)
_ACTIVE = (
    "SELECT r.* FROM p_definitions d JOIN p_revisions r ON r.definition_uid = d.key AND r.number = d.active"
    " JOIN p_objects o ON o.uid = d.key WHERE d.key = ?"
)


@dataclass(frozen=True, slots=True)
class Pinning:
    """The revision an instance runs from here on; ``mark`` empty: whatever is active."""

    number: int
    mark: str
    runs: int
    """What it runs now; 0 when it is made again."""
    selector: str = ""
    """The labels it is or was pinned by: the controller sees to it, nothing is written to the instance."""

    @property
    def text(self) -> str:
        now = f" (it runs {self.runs})" if self.runs not in (0, self.number) else ""
        if self.mark:
            return f"pinned to revision {self.number}{now}"
        return f"unpinned: it follows revision {self.number}, which is active{now}"


class Revisions:
    """Compiled revisions of one history, each once. ``kinds``: schemas as the cluster serves them, for old records."""

    def __init__(self, history: History, kinds: Mapping[Gvk, KindSchema] | None) -> None:
        self.history = history
        self._kinds = dict(kinds) if kinds is not None else None
        self._graphs: dict[tuple[object, object], ResourceGraph] = {}

    def graph(self, row: Row) -> ResourceGraph:
        """Raises UserError when it does not compile."""
        key = (row["definition_uid"], row["number"])
        if key not in self._graphs:
            self._graphs[key] = compiled.graph(self.history, row, self._kinds)
        return self._graphs[key]


def followed(history: History, target: Target) -> Row:
    """The revision the instance runs, or would follow if it was made again. Raises UserError."""
    found = history.rows(_FOLLOWED, (target.uid,)) or history.rows(_WOULD_FOLLOW, (target.uid,))
    if not found:
        raise UserError(f"{target.name} is no instance that follows a revision of this log")
    return {**found[0], "spec": parsed(found[0]["spec"])}


def active(history: History, definition: str, definition_uid: str) -> Row:
    """The active revision of a definition that is there. Raises UserError."""
    found = history.rows(_ACTIVE, (definition_uid,))
    if not found:
        raise UserError(f"{definition} is gone, or none of its revisions is active: its instances follow nothing")
    return {**found[0], "spec": parsed(found[0]["spec"])}


def pinned(history: History, target: Target, number: int, revisions: Revisions) -> Pinning | None:
    """What a pin to this revision changes; None when it is pinned so already.

    Raises UserError when the revision is not there, does not compile, or needs what the CRD would prune.
    """
    now = followed(history, target)
    serving = active(history, str(now["definition"]), str(now["definition_uid"]))
    wanted = mark(target.name, serving, number, revisions)
    obj = object_at(history, target.ref, history.head)
    found = pins.pin_of(history, target.uid, obj) if obj else None
    if found is not None and found.row is not None and found.mark == wanted and _marked(obj, wanted):
        return None
    return Pinning(number, wanted, int(str(now["number"])) if obj else 0)


def mark(what: str, serving: Row, number: int, revisions: Revisions) -> str:
    """The mark of a pin to this revision of the definition whose active one is ``serving``.

    Raises UserError, which names ``what`` is to be pinned, when the revision is not there, does not compile, or needs
    what the CRD would prune.
    """
    name = str(serving["definition"])
    wanted = revision(revisions.history, RevisionName(name, number))
    if wanted["definition_uid"] != serving["definition_uid"]:
        raise UserError(f"{name} was deleted and made again since revision {number}: nothing can be pinned to it")
    if text := unkept(number, revisions.graph(wanted), revisions.graph(serving)):
        raise UserError(f"{what} cannot run revision {number}: {text} (revision {serving['number']} is active)")
    return mark_of(number, str(wanted["spec_hash"]))


def unpinned(history: History, target: Target) -> Pinning | None:
    """What the end of its pin changes; None when it is not pinned. Raises UserError when nothing would be followed."""
    obj = object_at(history, target.ref, history.head)
    found = pins.pin_of(history, target.uid, obj) if obj is not None else None
    if found is None:
        return None
    if selector := pins.selector_of(found):
        raise UserError(
            f"{target.name} is pinned by its labels: kro-history unpin {target.ref.kind.lower()} -l {shlex.quote(selector)},"
            " or change the labels"
        )
    now = followed(history, target)
    serving = active(history, str(now["definition"]), str(now["definition_uid"]))
    return Pinning(int(str(serving["number"])), "", int(str(now["number"])))


def as_it_ran(history: History, target: Target, position: int, revisions: Revisions) -> Pinning | None:
    """What makes an instance run the revision it ran at a position; None when it will run that one anyway."""
    number, uid = ran(history, target, position)
    now = followed(history, target)
    if not number:
        return None
    if uid != now["definition_uid"]:
        raise UserError(f"{now['definition']} was deleted and made again since: the revision it ran then is gone")
    if number == active(history, str(now["definition"]), uid)["number"] and not _labelled(history, target):
        return unpinned(history, target)
    return pinned(history, target, number, revisions)


def _labelled(history: History, target: Target) -> bool:
    """Whether its labels pin it: then only a pin of its own makes it run another revision."""
    obj = object_at(history, target.ref, history.head)
    found = pins.pin_of(history, target.uid, obj) if obj is not None else None
    return found is not None and bool(pins.selector_of(found))


def ran(history: History, target: Target, position: int) -> tuple[int, str]:
    """Number of the revision an instance ran at a position, and uid of its definition; 0 before its first decision."""
    found = (0, "")
    for event in history.log.read_stream(f"instance/{target.uid}"):
        if event.position > position:
            break
        if isinstance(event.body, ReconcileDecided | InstanceSettled) and event.body.revision:
            found = event.body.revision, event.body.definition_uid
    return found


def sides(
    history: History, target: Target, number: int, revisions: Revisions
) -> tuple[ResourceGraph | None, ResourceGraph]:
    """Graphs of the revision it runs (None when that does not compile any more) and of the one it will run."""
    now = followed(history, target)
    after = revisions.graph(revision(history, RevisionName(str(now["definition"]), number)))
    try:
        return revisions.graph(now), after
    except UserError:
        return None, after


def foreseen(history: History, target: Target, number: int, revisions: Revisions) -> Forecast:
    """What becomes of its objects with its spec as it is."""
    obj = live(history, target)
    before, after = sides(history, target, number, revisions)
    return forecast(Recorded(history, target.uid), Side(before, obj) if before else None, Side(after, obj))


def live(history: History, target: Target) -> JsonObject:
    """The instance as it was seen last. Raises UserError when it is gone."""
    obj = object_at(history, target.ref, history.head)
    if obj is None or terminating(obj):
        raise UserError(f"{target.name} is gone, or is being deleted: it runs no revision")
    return obj


def needs(history: History, instances: Iterable[Target], number: int | None) -> set[Gvk]:
    """Kinds of the revisions concerned, for those that were recorded without their schemas."""
    found: set[Gvk] = set()
    for target in instances:
        now = followed(history, target)
        rows = [now, active(history, str(now["definition"]), str(now["definition_uid"]))]
        rows += [revision(history, RevisionName(str(now["definition"]), number))] if number else []
        for row in rows:
            meta = {"name": row["definition"], "uid": row["definition_uid"], "generation": row["generation"]}
            found |= set(required_kinds(parse({"metadata": meta, "spec": parsed(row["spec"])})))
    return found


def chosen(history: History, text: str, namespace: str | None) -> Target:
    """``KIND/NAME``. Raises UserError."""
    if "/" not in text:
        raise UserError(f"{text!r} is no instance: write KIND/NAME, or KIND with -l SELECTOR")
    found = targets.find(history, text, namespace)
    if not found.is_instance:
        raise UserError(f"{found.name} is no instance: a pin is for instances, rollback for definitions")
    return found


def of_their_own(history: History, kind: str, namespace: str | None, selector: str) -> Sequence[Target]:
    """Live instances with these labels that are pinned by their own names. Raises UserError for none."""
    wanted = Selector.of_text(selector)
    found = []
    for one in targets.instances(history, kind):
        obj = object_at(history, one.ref, history.head)
        if namespace not in (None, one.ref.namespace) or obj is None or not wanted.matches(labels(obj)):
            continue
        pin = pins.pin_of(history, one.uid, obj)
        found += [one] if pin is not None and not pins.selector_of(pin) else []
    if not found:
        where = f" in namespace {namespace}" if namespace else ""
        raise UserError(
            f"no {kind}{where} is pinned by {selector!r}, and none with these labels by its name: kro-history pins"
        )
    return found


def _marked(obj: JsonObject | None, mark: str) -> bool:
    return obj is not None and annotations_of(obj).get(metadata.PINNED) == mark
