"""From an event back to the edit that began it, and forward to what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from kro_es.api import metadata
from kro_es.api.objects import JsonObject
from kro_es.events import types as e
from kro_es.history.changes import differences
from kro_es.history.source import History
from kro_es.history.timeline import rows_at
from kro_es.history.times import iso
from kro_es.projections.timeline import WHAT

_MOST_LINKS = 100
_INFERRED = "inferred: an object's status follows the last write to it"
_COMMANDED = "inferred: the last command before it"
_LATE = "it happened while nobody watched; who else wrote meanwhile is not known"
_KNOWN = {
    "manager": "known from managedFields: a program, not a person",
    "audit": "known from the API server's audit log",
    "audit-by-time": "inferred: by the audit log the only write of it at that time",
}
_ROLLED = "deployment.kubernetes.io/"
"""What the controller of Deployments notes on them with every rollout."""
_UNSEEN = "what led to it is not in what you may see of the log"
_REFUSED = "inferred: the last edit before the refusal"


@dataclass(frozen=True, slots=True)
class Link:
    """One event of a chain of causes."""

    position: int
    time: int
    what: str
    object: str
    namespace: str
    summary: str
    actor: str
    actor_source: str
    instance_uid: str
    note: str = ""
    """How far it is known that the link before it led to this one, and who did it."""

    def as_json(self) -> JsonObject:
        return {
            "event": self.position,
            "time": iso(self.time),
            "type": self.what,
            "object": self.object,
            "namespace": self.namespace,
            "summary": self.summary,
            "actor": self.actor,
            "actor_source": self.actor_source,
            "note": self.note,
        }


class Causes:
    """Remembers what it looked up: the fields of one object share most of their causes."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._rows: dict[int, dict[str, object]] = {}
        self._events: dict[int, e.Event] = {}
        self._chains: dict[int, tuple[Link, ...]] = {}
        self._definitions: dict[str, str] = {}

    def chain(self, position: int) -> tuple[Link, ...]:
        """From the first cause that is known to the event itself."""
        found = self._chains.get(position)
        if found is None:
            found = self._chains[position] = self._chained(position)
        return found

    def _chained(self, position: int) -> tuple[Link, ...]:
        links: list[Link] = []
        while position and len(links) < _MOST_LINKS:
            link = self.link(position)
            cause, note = self._cause(link)
            if cause and not self.knows(cause):
                cause, note = 0, _UNSEEN
            links.append(replace(link, note=note or self._repair(link) or _known(link)))
            position = cause if cause < position else 0
        return tuple(links[::-1])

    def _repair(self, link: Link) -> str:
        if "(drift: " not in link.summary:
            return ""
        body = self.event(link.position).body
        assert isinstance(body, e.ReconcileDecided)
        return f"put back to what revision {self._definition(body.definition_uid)}@{body.revision} says"

    def knows(self, position: int) -> bool:
        """Whether whoever asks can see the event."""
        if position not in self._rows:
            self._rows |= rows_at(self._history, [position])
        return position in self._rows

    def link(self, position: int) -> Link:
        row = self._rows.get(position)
        if row is None:
            row = self._rows[position] = rows_at(self._history, [position])[position]
        name = str(row["name"])
        kind = str(row["kind"]).lower()
        return Link(
            position, int(str(row["occurred_at"])), str(row["what"]), f"{kind}/{name}" if name else kind,
            str(row["namespace"]), str(row["summary"]), str(row["actor"]), str(row["actor_source"]),
            str(row["instance_uid"]),
        )  # fmt: skip

    def event(self, position: int) -> e.Event:
        found = self._events.get(position)
        if found is None:
            found = self._history.log.event(position)
            assert found is not None
            self._events[position] = found
        return found

    def revision(self, chain: tuple[Link, ...]) -> str:
        """``NAME@N`` of the revision the last decision of the chain followed; empty when there is none."""
        for link in reversed(chain):
            if link.what == e.ReconcileDecided.TYPE or link.what.startswith("revision."):
                body = self.event(link.position).body
                if isinstance(body, e.ReconcileDecided) and body.revision:
                    return f"{self._definition(body.definition_uid)}@{body.revision}"
                if isinstance(body, e.RevisionIssued | e.RevisionActivated):
                    return f"{body.definition}@{body.number}"
        return ""

    def healed(self, chain: tuple[Link, ...]) -> Link | None:
        """Where the last decision put back what others had changed: the edit of the revision it put back."""
        decided = [link for link in chain if link.what == e.ReconcileDecided.TYPE][-1:]
        body = self.event(decided[0].position).body if decided else None
        if not isinstance(body, e.ReconcileDecided) or not body.drift:
            return None
        sql = "SELECT position FROM p_revisions WHERE definition_uid = ? AND number = ?"
        rows = self._history.rows(sql, (body.definition_uid, body.revision))
        return self.chain(int(str(rows[0]["position"])))[0] if rows else None

    def _definition(self, uid: str) -> str:
        if uid not in self._definitions:
            rows = self._history.rows("SELECT definition FROM p_definitions WHERE key = ?", (uid,))
            self._definitions[uid] = str(rows[0]["definition"]) if rows else uid
        return self._definitions[uid]

    def _cause(self, link: Link) -> tuple[int, str]:
        """Position of what led to it (0: nothing that is known), and how that is known."""
        recorded = int(str(self._rows[link.position]["cause"]))
        if recorded:
            return recorded, ""
        if link.what == e.RevisionRejected.TYPE:
            return self._edit(link), _REFUSED
        if link.what != e.ObjectObserved.TYPE:
            return 0, ""
        # the timeline may name the person by now
        if self.event(link.position).actor.name == metadata.ROLLBACK_MANAGER:
            return self._command(link), _COMMANDED
        if link.instance_uid and self._only_status(link):
            found = self._last_write(link)
            return found, _INFERRED if found else ""
        return 0, ""

    def _edit(self, link: Link) -> int:
        subject = self.event(link.position).subject
        stream = f"object/{subject.group}/{subject.kind}/{subject.namespace}/{subject.name}"
        event = self._history.log.state_at(stream, position=link.position)
        return event.position if event and isinstance(event.body, e.ObjectObserved) else 0

    def _command(self, link: Link) -> int:
        uid = str(self.event(link.position).subject.uid)
        sql = (
            "SELECT position, definition_uid, instance_uid FROM p_timeline"  # noqa: S608 our own words
            f" WHERE what >= 'command.' AND what < 'command/' AND {WHAT.rare} AND position < ?"
        )
        rows = self._history.rows(sql, (link.position,))
        about = (row for row in rows if uid in (row["definition_uid"], row["instance_uid"]))
        return max((int(str(row["position"])) for row in about), default=0)

    def _only_status(self, link: Link) -> bool:
        event = self.event(link.position)
        if event.stream_version == 1:
            return False
        before = self._history.log.read_stream(event.stream, event.stream_version - 1, 1)[0]
        if not (isinstance(before.body, e.ObjectObserved) and isinstance(event.body, e.ObjectObserved)):
            return False
        changed = (path for path, *_ in differences(before.body.object, event.body.object))
        return all(path[0] == "status" or _of_the_cluster(path) for path in changed)

    def _last_write(self, link: Link) -> int:
        event = self.event(link.position)
        sql = (
            "SELECT e.position AS p FROM events e JOIN streams s ON s.id = e.stream_id WHERE s.name = ?"
            " AND e.stream_version < ? AND e.cause > 0 ORDER BY e.stream_version DESC LIMIT 1"
        )
        rows = self._history.rows(sql, (event.stream, event.stream_version))
        return int(str(rows[0]["p"])) if rows else 0


def _of_the_cluster(path: Sequence[str | int]) -> bool:
    """Metadata that moves by itself: nobody edited it, as somebody does with a label."""
    if path[:2] == ("metadata", "annotations"):
        return len(path) > 2 and str(path[2]).startswith(_ROLLED)
    return path[0] == "metadata" and path[1] in ("resourceVersion", "generation")


def _known(link: Link) -> str:
    if link.what != e.ObjectObserved.TYPE:
        return ""
    return _LATE if "late" in link.summary else _KNOWN.get(link.actor_source, "")
