"""The inputs of a decision from rows at one log position: the same for a running controller and for a replay of its log."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from kro_es.api.objects import JsonObject, ObjectRef
from kro_es.decisions import hold
from kro_es.decisions import pin as pins
from kro_es.decisions.choice import Graphs, choose
from kro_es.decisions.inputs import Child, Externals, Followed, InstanceInputs
from kro_es.decisions.pin import Pin
from kro_es.decisions.taint import Taints
from kro_es.events.redaction import Redactor
from kro_es.plan.applyset import applyset_id
from kro_es.projections.projection import Row


class Reader(Protocol):
    """Rows of every projection at one log position: ``position`` is the position all reads of this reader see."""

    @property
    def position(self) -> int: ...

    def row(self, projection: str, key: str) -> Row | None: ...

    def rows(self, projection: str, column: str, value: object) -> list[Row]:
        """Rows whose (indexed) column equals ``value``, ordered by key."""
        ...


@dataclass(frozen=True, slots=True)
class Standing:
    """What does not change from pass to pass: keys, and how the controller was told to behave."""

    redactor: Redactor
    taints: Taints
    version: str
    """What the version label says."""
    max_collection: int
    notices: bool


@dataclass(frozen=True, slots=True)
class Moment:
    """What a pass knows besides the rows."""

    graphs: Graphs
    externals: Externals
    clear: Callable[[Row], JsonObject | None]
    """The recorded object with its secret values put back; None while they are not known."""
    now: int
    failed: Mapping[str, str]


def load(
    reader: Reader, ref: ObjectRef, instance_uid: str, standing: Standing, moment: Moment
) -> InstanceInputs | None:
    """None when the object is not (or no longer) there, or its values are not known yet."""
    row = reader.row("objects", ref.key)
    instance = moment.clear(row) if row is not None and row["uid"] == instance_uid else None
    if row is None or instance is None:
        return None
    held = reader.row("holds", instance_uid)
    served_by = moment.graphs.definition_uid
    head, pin_row = reader.row("definitions", served_by) if served_by else None, reader.row("pins", instance_uid)
    moved = pins.moved(instance, pin_row, served_by, head)
    pin = Pin.of(instance, pin_row) if moved is None else None
    revision = reader.row("revisions", f"{served_by}/{pin.number:06d}") if pin else None
    chosen = choose(head, pin, revision, moment.graphs)
    children = _children(reader, applyset_id(ObjectRef.of(instance)), chosen.followed, moment.clear)
    nodes = {str(node["node"]): node for node in reader.rows("nodes", "instance_uid", instance_uid)}
    seen = _seen_fields(reader, children, nodes.values())
    fields = _field_sets(reader, {str(row["fields_digest"]) for row in (*nodes.values(), *seen.values())})
    redactor, taints = standing.redactor, standing.taints
    return InstanceInputs(
        instance=hold.effective(instance, held),
        instance_row=row,
        followed=chosen.followed,
        children=children,
        externals=moment.externals,
        nodes=nodes,
        offenders=reader.rows("offenders", "instance_uid", instance_uid),
        settled=reader.row("instances", instance_uid),
        field_set=fields.get,
        seen_fields={child_uid: fields[str(row["fields_digest"])] for child_uid, row in seen.items()},
        owner_of=lambda other: _owner(reader, other),
        redact=lambda obj: redactor.redact(obj, taints.paths(obj)),
        redactor=redactor,
        status_paths=taints.paths(instance),
        position=reader.position,
        now=moment.now,
        version=standing.version,
        failed=dict(moment.failed),
        max_collection=standing.max_collection,
        hold=held,
        notices=standing.notices,
        pin=pin,
        unkept=chosen.unkept,
        uncompiled=chosen.uncompiled,
        lacking=chosen.lacking,
        served_by=served_by,
        moved=moved,
        moved_by=_moved_by(moved, row, head),
    )


def _moved_by(moved: pins.Moved | None, instance: Row, head: Row | None) -> int:
    """Position of the command, or of the edit of the labels, whichever came later."""
    if moved is None:
        return 0
    command = int(str(head["pins_position"])) if head else 0
    return max(command, int(str(instance["position"])))


def _children(
    reader: Reader, applyset: str, followed: Followed | None, clear: Callable[[Row], JsonObject | None]
) -> tuple[Child, ...]:
    found: dict[str, Row] = {}
    for row in reader.rows("objects", "part_of", applyset):
        # an Event is served in two groups: it is one object, and the one that its node speaks of
        if str(row["uid"]) not in found or _meant(row, followed):
            found[str(row["uid"])] = row
    rows = sorted(found.values(), key=lambda item: (str(item["kind_key"]), str(item["name"])))
    pairs = ((clear(row), row) for row in rows)
    return tuple(Child(obj, row) for obj, row in pairs if obj is not None)


def _meant(row: Row, followed: Followed | None) -> bool:
    nodes = followed.graph.nodes if followed else ()
    gvk = next((node.resource.gvk for node in nodes if node.id == row["node"]), None)
    return gvk is not None and row["kind_key"] == f"{gvk.group}/{gvk.kind}"


def _seen_fields(reader: Reader, children: Iterable[Child], nodes: Iterable[Row]) -> dict[str, Row]:
    """By uid, of children the log has no apply of; for all others the question is spared."""
    applied = {str(node["uid"]) for node in nodes}
    found = {child.uid: reader.row("seen_fields", child.uid) for child in children if child.uid not in applied}
    return {child_uid: row for child_uid, row in found.items() if row is not None}


def _field_sets(reader: Reader, digests: Iterable[str]) -> dict[str, JsonObject]:
    found = {digest: reader.row("field_sets", digest) for digest in digests}
    return {digest: _fields(row) for digest, row in found.items() if row}


def _fields(row: Row) -> JsonObject:
    found = row["fields"]
    assert isinstance(found, dict)
    return found


def _owner(reader: Reader, ref: ObjectRef) -> str:
    row = reader.row("objects", ref.key)
    return str(row["part_of"]) if row else ""
