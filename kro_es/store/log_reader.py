"""The log as it is read: forward, by stream, at a position, or as it stood at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from kro_es.events.types import Event
from kro_es.store.packing import LATE, Packer
from kro_es.store.sql import marks, read_connection, run
from kro_es.store.stored import SELECT, Decoder

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

_STATE = (
    f"{SELECT} WHERE e.position = (SELECT position FROM events WHERE stream_id = ? AND stream_version <= ?"  # noqa: S608
    " ORDER BY stream_version DESC LIMIT 1)"
)
_OF_TYPES = "SELECT id FROM types WHERE name IN ({})"


class LogReader:
    """Reads without ever waiting for the writer; one per thread."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._decoder: Decoder | None = None

    def head(self) -> int:
        """Position of the last event; 0 in an empty log."""
        with self._reading() as connection:
            return int(run(connection, "SELECT position FROM log_head").scalar_one())

    def event(self, position: int) -> Event | None:
        found = self.read(position, 1)
        return found[0] if found and found[0].position == position else None

    def read(self, from_position: int, limit: int) -> list[Event]:
        """Events from that position on, in order, at most ``limit``."""
        with self._reading() as connection:
            return self._read(connection, from_position, limit)

    def events_at(self, positions: Sequence[int]) -> list[Event]:
        """Those of these positions that there are, in order."""
        sql = f"{SELECT} WHERE e.position IN ({marks(len(positions))}) ORDER BY e.position"
        with self._reading() as connection:
            rows = run(connection, sql, tuple(positions)).all()
            return list(self._decode(connection).events(connection, (tuple(row) for row in rows)))

    def read_stream(self, stream: str, from_version: int = 1, limit: int = -1) -> list[Event]:
        """Events of one stream from a version on, in order; all of them without a limit."""
        sql = f"{SELECT} WHERE s.name = ? AND e.stream_version >= ? ORDER BY e.stream_version"
        with self._reading() as connection:
            values = (stream, from_version) if limit < 0 else (stream, from_version, limit)
            rows = run(connection, sql if limit < 0 else f"{sql} LIMIT ?", values)
            return list(self._decode(connection).events(connection, (tuple(row) for row in rows.all())))

    def state_at(self, stream: str, *, position: int | None = None, time: int | None = None) -> Event | None:
        """The event that showed the stream's state at a log position or a time of recording; now without either.

        A late observation shows an older state and is passed over. None before the stream's first event.
        """
        with self._reading() as connection:
            number, version = self._version_at(connection, stream, position, time)
            decoder = self._decode(connection)
            while (row := run(connection, _STATE, (number, version)).first()) is not None:
                found = decoder.stored(connection, row)
                if not found.encoding & LATE:
                    return found.event()
                # Asked of the database this condition would make it look at every version of the stream.
                version = found.version - 1
            return None

    def position_at(self, time: int) -> int:
        """Position of the last event recorded at or before a time (microseconds); 0 when there is none."""
        with self._reading() as connection:
            return int(run(connection, _POSITION_AT, (time,)).one()[1])

    def read_with(self, connection: Connection, from_position: int, limit: int) -> list[Event]:
        """As :meth:`read`, in a transaction of the caller's."""
        return self._read(connection, from_position, limit)

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with read_connection(self._engine) as connection, connection.begin():
            yield connection

    def _decode(self, connection: Connection) -> Decoder:
        if self._decoder is None:
            self._decoder = Decoder(Packer.load(connection))
        return self._decoder

    def _read(
        self, connection: Connection, from_position: int, limit: int, types: Sequence[str] | None = None
    ) -> list[Event]:
        """``types``: of the events, all without."""
        of_types = f" AND e.type_id IN ({_OF_TYPES.format(marks(len(types)))})" if types is not None else ""
        sql = f"{SELECT} WHERE e.position >= ?{of_types} ORDER BY e.position LIMIT ?"
        rows = run(connection, sql, (from_position, *(types or ()), limit)).all()
        return list(self._decode(connection).events(connection, (tuple(row) for row in rows)))

    def _version_at(
        self, connection: Connection, stream: str, position: int | None, time: int | None
    ) -> tuple[int, int]:
        """Number of the stream, and its version; zeros for a stream that is not there."""
        if position is None and time is None:
            found = run(connection, _LAST_OF, (stream,)).first()
            return (0, 0) if found is None else (found[0], found[1])
        # Position and time of recording only grow along a stream: no index is needed to find a place in it.
        places = [
            run(connection, _VERSION_AT[column], (limit, stream)).first()
            for column, limit in (("position", position), ("recorded_at", time))
            if limit is not None
        ]
        return min((number, version) for number, version in (place or (0, 0) for place in places))


def _search(place: str, value: str, within: str, where: str) -> str:
    """The greatest place from 1 to the highest whose value is at most a limit; 0 without one.

    ``within`` gives a number to search within, the highest place, and the limit. Values only grow with the places, of
    which some may be pruned. One question to the database, however many steps.
    """
    reached = "(s.low + s.high + 1) / 2"
    at = f"FROM events WHERE {where} {place} <= {{}} ORDER BY {place} DESC LIMIT 1"
    good = f"coalesce((SELECT {value} {at.format(reached)}) <= s.limited, TRUE)"
    return (
        f"WITH RECURSIVE s (number, low, high, limited) AS ({within}"  # noqa: S608
        f" UNION ALL SELECT s.number, CASE WHEN {good} THEN {reached} ELSE s.low END,"
        f" CASE WHEN {good} THEN s.high ELSE {reached} - 1 END, s.limited FROM s WHERE s.low < s.high)"
        f" SELECT s.number, coalesce((SELECT {place} {at.format('s.low')}), 0) FROM s WHERE s.low >= s.high"
    )


_LAST_VERSION = "coalesce((SELECT max(stream_version) FROM events WHERE stream_id = s.id), 0)"
_LAST_OF = f"SELECT id, {_LAST_VERSION} FROM streams s WHERE name = ?"  # noqa: S608 the words are ours
_FROM_ZERO = "CAST(0 AS BIGINT)"
_POSITION_AT = _search(
    "position",
    "recorded_at",
    f"SELECT {_FROM_ZERO}, {_FROM_ZERO}, position, CAST(? AS BIGINT) FROM log_head",  # noqa: S608
    "",
)
_VERSION_AT = {
    column: _search(
        "stream_version",
        column,
        f"SELECT id, {_FROM_ZERO}, {_LAST_VERSION}, CAST(? AS BIGINT) FROM streams s WHERE name = ?",  # noqa: S608
        "stream_id = s.number AND",
    )
    for column in ("position", "recorded_at")
}
