"""A history of what somebody may see: rows about anything else are not there, and decisions tell nothing of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, cast

from kro_es.api.objects import JsonObject, ObjectRef
from kro_es.errors import UserError
from kro_es.events.types import Event, ReconcileDecided
from kro_es.history.source import History, Table, file_of
from kro_es.projections.timeline import summary
from kro_es.store.log_reader import LogReader
from kro_es.store.narrowed import SCOPES, NarrowedFile, Scope, narrowed_server

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

_OBJECT = "object/"


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
        """The line of a decision names what it writes: it is said anew of what may be seen."""
        found = super().rows(sql, values)
        for row in found:
            if row.get("what") == ReconcileDecided.TYPE and "summary" in row:
                event = self.log.event(int(str(row["position"])))
                row["summary"] = summary(event) if event else ""
        return found

    @property
    def engine(self) -> Engine:
        """Raises UserError: whoever may not see everything can neither prove nor change it."""
        raise UserError("this needs the right to see the whole log")

    @cached_property
    def log(self) -> LogReader:
        return _NarrowedReader(self.asked, frozenset(self.scopes))

    def close(self) -> None:
        if "asked" in self.__dict__:
            self.asked.dispose()


class _NarrowedReader(LogReader):
    def __init__(self, engine: Engine, scopes: frozenset[Scope]) -> None:
        super().__init__(engine)
        self._scopes = scopes

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
        if not isinstance(body, ReconcileDecided):
            return event
        writes = tuple(one for one in body.writes if Scope(one.group, one.kind, one.namespace) in self._scopes)
        seen = {one.node for one in writes if one.node}
        return replace(
            event,
            body=replace(
                body,
                inputs=tuple(one for one in body.inputs if self._is_open(one.stream)),
                writes=writes,
                drift=tuple(one for one in body.drift if one.get("node") in seen or self._names_open(one)),
                given={},
            ),
        )

    def _is_open(self, stream: str) -> bool:
        if not stream.startswith(_OBJECT):
            return True
        ref = ObjectRef.from_key(stream.removeprefix(_OBJECT))
        return Scope(ref.group, ref.kind, ref.namespace) in self._scopes

    def _names_open(self, drift: JsonObject) -> bool:
        fitting = [one for one in self._scopes if one.kind == drift.get("kind")]
        return any(one.namespace == drift.get("namespace") for one in fitting)
