"""A history of what somebody may see: rows about anything else are not there, and decisions tell nothing of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from typing import TYPE_CHECKING, cast

from kro_es.api.objects import JsonObject, ObjectRef
from kro_es.errors import UserError
from kro_es.events.types import Event, InstanceGone, InstanceSettled, ObjectObserved, ReconcileDecided
from kro_es.history.source import History, Table, file_of
from kro_es.projections.timeline import summary
from kro_es.store.log_reader import LogReader
from kro_es.store.narrowed import SCOPES, NarrowedFile, Scope, narrowed_server
from kro_es.store.sql import run

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

LEFT_OUT = "(left out)"
"""Stands for a text that may name what is not theirs to see."""
_OBJECT = "object/"
_SOON = 4
"""Versions of an instance behind a decision in which its status shows what was decided."""


def scopes(history: History) -> list[Scope]:
    """Every kind and namespace the log holds something about."""
    return [Scope(*map(str, row.values())) for row in history.rows(SCOPES)]


@dataclass
class NarrowedHistory(History):
    """``scopes``: what may be seen of the log."""

    scopes: Sequence[Scope] = field(default_factory=tuple)

    @cached_property
    def asked(self) -> Engine:
        path = file_of(self.url)
        if path is not None:
            return cast("Engine", NarrowedFile(path, self.scopes))
        from kro_es.store.engine import open_engine  # noqa: PLC0415 slow to load

        return narrowed_server(open_engine(self.url), self.scopes)

    def rows(self, sql: str, values: Sequence[object] = ()) -> Table:
        """The line of a decision names what it writes: it is said anew of what may be seen; and why a node waits."""
        found = super().rows(sql, values)
        for row in found:
            if row.get("what") == ReconcileDecided.TYPE and "summary" in row:
                event = self.log.event(int(str(row["position"])))
                row["summary"] = summary(event) if event else ""
            text = "message" if "message" in row else "reason" if "node" in row else ""
            if text and row.get(text):
                row[text] = self._repeated(str(row.get("instance_uid") or row.get("key")), str(row[text]))
        return found

    def _repeated(self, uid: str, text: str) -> str:
        found = super().rows("SELECT api_group, kind, namespace, name FROM p_instances WHERE key = ?", (uid,))
        ref = ObjectRef(*map(str, found[0].values())) if found else None
        return self.log.repeated(text, lambda: self.log.said(ref, None) if ref else [])

    @property
    def engine(self) -> Engine:
        """Raises UserError: whoever may not see everything can neither prove nor change it."""
        raise UserError("this needs the right to see the whole log")

    @cached_property
    def log(self) -> _NarrowedReader:
        return _NarrowedReader(self.asked, frozenset(self.scopes), self._closed)

    def _closed(self) -> frozenset[tuple[str, str]]:
        """Kind and namespace of what may not be seen."""
        every = History(self.url, self.now)
        try:
            return frozenset((one.kind, one.namespace) for one in scopes(every) if one not in self.scopes)
        finally:
            every.close()

    def close(self) -> None:
        if "asked" in self.__dict__:
            self.asked.dispose()


class _NarrowedReader(LogReader):
    def __init__(
        self, engine: Engine, scopes: frozenset[Scope], closed: Callable[[], frozenset[tuple[str, str]]]
    ) -> None:
        super().__init__(engine)
        self._scopes = scopes
        self._ask_closed = closed

    @cached_property
    def _closed(self) -> frozenset[tuple[str, str]]:
        return self._ask_closed()

    def read(self, from_position: int, limit: int) -> list[Event]:
        return [self._told(event) for event in super().read(from_position, limit)]

    def events_at(self, positions: Sequence[int]) -> list[Event]:
        return [self._told(event) for event in super().events_at(positions)]

    def read_stream(self, stream: str, from_version: int = 1, limit: int = -1) -> list[Event]:
        return [self._told(event) for event in super().read_stream(stream, from_version, limit)]

    def read_with(self, connection: Connection, from_position: int, limit: int) -> list[Event]:
        return [self._told(event) for event in super().read_with(connection, from_position, limit)]

    def state_at(self, stream: str, *, position: int | None = None, time: int | None = None) -> Event | None:
        found = super().state_at(stream, position=position, time=time)
        return self._told(found) if found else None

    def _told(self, event: Event) -> Event:
        """A decision names what it read and writes, and the values of drift: only those that may be seen stay."""
        body = event.body
        # all reasons of one decision are looked for in the same words
        said = cache(lambda: self.said(_about(event), event.position))
        if isinstance(body, InstanceGone):
            return replace(event, body=replace(body, nodes=tuple(filter(self._is_open_node, body.nodes))))
        if isinstance(body, InstanceSettled):
            return replace(event, body=replace(body, message=self.repeated(body.message, said), given={}))
        if not isinstance(body, ReconcileDecided):
            return event
        writes = tuple(one for one in body.writes if Scope(one.group, one.kind, one.namespace) in self._scopes)
        seen = {one.node for one in writes if one.node}
        hidden = {one.node for one in body.writes} - seen
        return replace(
            event,
            body=replace(
                body,
                inputs=tuple(one for one in body.inputs if self._is_open(one.stream)),
                writes=writes,
                nodes=tuple(replace(one, reason=self.repeated(one.reason, said)) for one in body.nodes),
                drift=tuple(
                    one
                    for one in body.drift
                    if one.get("node") in seen or (one.get("node") not in hidden and self._names_open(one))
                ),
                accepted=tuple(one for one in body.accepted if self._is_open_node(str(one.get("node")))),
                given={},
            ),
        )

    def repeated(self, text: str, said: Callable[[], list[str]]) -> str:
        """Why an instance waits or fails names whatever it stumbled over: told as far as its own status told it.

        ``said``: the messages of that. Who may see all the log has hears it as it is.
        """
        if not text or not self._closed:
            return text
        return text if any(text in one for one in said()) else LEFT_OUT

    def said(self, instance: ObjectRef, position: int | None) -> list[str]:
        """Messages of the conditions an instance had then, and of those that followed from that; None: has now."""
        stream = f"{_OBJECT}{instance.key}"
        shown = super().state_at(stream, position=position)
        events = [shown] if shown else []
        if position is not None:
            events += super().read_stream(stream, shown.stream_version + 1 if shown else 1, _SOON)
        found = (event.body.object.get("status") for event in events if isinstance(event.body, ObjectObserved))
        conditions = (one for status in found for one in (status or {}).get("conditions") or ())
        return [str(one.get("message")) for one in conditions if isinstance(one, dict)]

    def _is_open(self, stream: str) -> bool:
        if not stream.startswith(_OBJECT):
            return True
        ref = ObjectRef.from_key(stream.removeprefix(_OBJECT))
        return Scope(ref.group, ref.kind, ref.namespace) in self._scopes

    def _names_open(self, drift: JsonObject) -> bool:
        """The group is not among its words: a kind of that name which is closed closes it."""
        place = (str(drift.get("kind")), str(drift.get("namespace")))
        return place not in self._closed and any((one.kind, one.namespace) == place for one in self._scopes)

    def _is_open_node(self, node: str) -> bool:
        """An item of a collection bears the name of its object: told to those who may see an object so called."""
        _, slash, item = node.partition("/")
        if not slash:
            return True
        with self._reading() as connection:
            namespace, _, name = item.partition("/")
            found = run(
                connection, "SELECT 1 FROM subjects WHERE namespace = ? AND name = ? LIMIT 1", (namespace, name)
            )
            return found.first() is not None


def _about(event: Event) -> ObjectRef:
    it = event.subject
    return ObjectRef(it.group, it.kind, it.namespace, it.name)
