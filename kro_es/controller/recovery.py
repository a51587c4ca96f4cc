"""What an earlier run left in the log: what to watch at once, and the writes nobody knows the outcome of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kro_es.api.objects import Gvk, JsonObject, ObjectRef, Resource
from kro_es.controller.assembly import Assembled
from kro_es.controller.crds import GROUP, KIND
from kro_es.controller.ports import Reader
from kro_es.controller.world import World
from kro_es.events.types import Actor, NewEvent, OutcomeUnknown, Subject
from kro_es.projections.projection import Row
from kro_es.store.reader import Snapshot

_INSTANCE = "instance/"


@dataclass(frozen=True, slots=True)
class Left:
    """``kinds``: instance kind to the uid of its definition; ``members``: kinds of recorded children."""

    kinds: dict[Gvk, str]
    members: set[Gvk]
    located: dict[Gvk, Resource]
    """Where the objects of kinds were, when the revisions that are active were compiled."""
    intents: Sequence[tuple[str, Row]]
    """Intents that were never answered, by key of ``open_writes``."""


def recover(reader: Snapshot, assembled: Assembled) -> Left:
    """Tells the parts what the log knows of each, and returns what has to be done about the rest."""
    world = assembled.world
    world.ingest.applied(str(row["uid"]) for _, row in reader.all_rows("nodes") if row["uid"])
    world.ingest.applied(child_uid for child_uid, _ in reader.all_rows("seen_fields"))
    assembled.projector.seed(row for _, row in reader.all_rows("objects"))
    crds = reader.rows("objects", "kind_key", f"{GROUP}/{KIND}")
    assembled.loop.custom_kinds.seed(row["object"] for row in crds if isinstance(row["object"], dict))
    for _, row in reader.all_rows("revisions"):
        world.taints.learn_row(row)
    return Left(_kinds(reader), _members(reader), _located(reader), list(reader.all_rows("open_writes")))


def _kinds(reader: Snapshot) -> dict[Gvk, str]:
    """Kinds of the instances the log knows, with the definition that served them last."""
    found: dict[Gvk, str] = {}
    for _, row in reader.all_rows("revisions"):
        if row["state"] == "active" and reader.rows("instances", "definition_uid", row["definition_uid"]):
            gvk = Gvk(str(row["instance_group"]), str(row["instance_version"]), str(row["instance_kind"]))
            found[gvk] = str(row["definition_uid"])
    return found


def _members(reader: Snapshot) -> set[Gvk]:
    """Kinds of the recorded children, at the versions they were watched at."""
    rows = (row for _, row in reader.all_rows("objects") if row["part_of"])
    return {Gvk.parse(str(row["api_version"]), str(row["kind_key"]).split("/")[1]) for row in rows}


def _located(reader: Snapshot) -> dict[Gvk, Resource]:
    revisions = [row for _, row in reader.all_rows("revisions") if row["state"] == "active"]
    digests = {
        str(digest) for row in revisions if isinstance(row["schemas"], dict) for digest in row["schemas"].values()
    }
    found: dict[Gvk, Resource] = {}
    for row in filter(None, (reader.row("schemas", digest) for digest in sorted(digests))):
        gvk = Gvk.parse(str(row["api_version"]), str(row["kind"]))
        found[gvk] = Resource(gvk, str(row["plural"]), bool(row["namespaced"]))
    return found


async def close_intents(world: World, intents: Sequence[tuple[str, Row]]) -> None:
    """Each with what the lists show of its target; called when they are in the log."""
    events = []
    now, actor = world.clock(), Actor("kro-es", "controller")
    with world.open_reader() as reader:
        for key, row in intents:
            intent, index = (int(part) for part in key.split("/"))
            ref = ObjectRef(str(row["api_group"]), str(row["kind"]), str(row["namespace"]), str(row["name"]))
            found = reader.row("objects", ref.key)
            subject = Subject(ref.group, ref.kind, ref.namespace, ref.name, str(found["uid"]) if found else "")
            body = OutcomeUnknown(intent, index, _shown(found, intent), _put_back(reader, row, intent))
            events.append(NewEvent(str(row["stream"]), body, subject, actor, now, cause=intent))
    if events:
        await world.log.append(events)


def _put_back(reader: Reader, row: Row, intent: int) -> JsonObject:
    """The drift the write should have ended, whether it was found by this intent or by an earlier one."""
    stream, node = str(row["stream"]), row["node"]
    if not stream.startswith(_INSTANCE) or not node:
        return {}
    found = reader.rows("offenders", "instance_uid", stream.removeprefix(_INSTANCE))
    for offender in (item for item in found if item["node"] == node):
        since = intent if offender["position"] == intent else offender["unhealed"] if offender["tries"] else 0
        if since:
            return {"node": node, "manager": offender["manager"], "since": since}
    return {}


def _shown(found: Row | None, intent: int) -> str:
    if found is None:
        return "the target is not there, or not of a kind that is watched"
    when = "after" if int(str(found["position"])) > intent else "before"
    return f"resourceVersion {found['resource_version']}, first seen {when} the intent"
