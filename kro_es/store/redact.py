"""Takes a value that slipped through out of the log: events that held it lose it and their salt, their leaves stay."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import orjson
from sqlalchemy import Connection, Engine

from kro_es.api.objects import JsonObject, JsonValue
from kro_es.errors import UserError
from kro_es.events.delta import canonical, diff
from kro_es.events.redaction import MARK
from kro_es.events.types import Actor, Event, LogRedacted, ObjectObserved, RevisionIssued
from kro_es.store.event_log import EventLog
from kro_es.store.maintenance import Told, maintenance_event, silent
from kro_es.store.packing import COMPRESSED, DELTA, DICTIONARY, LATE, Packer
from kro_es.store.sql import pages, read_connection, run, run_many
from kro_es.store.stored import SELECT, Decoder

_PAYLOADS = "SELECT position, encoding, payload FROM events WHERE position > ? ORDER BY position LIMIT ?"
_AT_ONCE = 2000
_SHORTEST = 4
_TOLD = 5
"""Objects that are named, of those that still have the value."""
_GONE: JsonObject = {MARK: "removed", "key": ""}
"""Stands where a value was in an object or a spec: nobody puts such a spec back."""
_WHOLE = {ObjectObserved.TYPE: "object", RevisionIssued.TYPE: "spec"}
"""Types whose named field has leaves that go whole; elsewhere a text goes out of the texts it is in."""
_OF_STREAM = f"{SELECT} WHERE e.stream_id = ? ORDER BY e.stream_version"
_NAMES = ("streams WHERE name", "subjects WHERE name", "actors WHERE name", "correlations WHERE text")


@dataclass(slots=True)
class RedactPlan:
    """Which events hold the texts; ``streams`` has the positions of each stream."""

    texts: frozenset[str]
    positions: list[int] = field(default_factory=list)
    streams: dict[int, set[int]] = field(default_factory=dict)


def plan(engine: Engine, texts: Iterable[str], told: Told = silent) -> RedactPlan:
    """Looks through the whole log for texts, as they are and in base64.

    Raises UserError for a text too short to look for, one that a name holds, or one an object still has.
    """
    found = RedactPlan(_variants(texts))
    with read_connection(engine) as connection, connection.begin():
        _refuse_names(connection, found.texts)
        _refuse_current(connection, found.texts)
        decoder = Decoder(Packer.load(connection))
        head = int(run(connection, "SELECT position FROM log_head").scalar_one())
        for rows in pages(connection, f"{SELECT} WHERE e.position > ? ORDER BY e.position LIMIT ?", _AT_ONCE):
            for row in rows:
                stored = decoder.stored(connection, row)
                if _holds(canonical(stored.payload), found.texts):
                    found.positions.append(row[0])
                    found.streams.setdefault(stored.stream_id, set()).add(row[0])
            told(rows[-1][0], head)
    return found


def redact(engine: Engine, found: RedactPlan, *, reason: str, actor: Actor, now: int) -> Event:
    """Carries a plan out, with the event that accounts for it, in one transaction.

    Projections that were folded from what is gone are the caller's to rebuild, and the space to be given back.
    """
    if any(text in reason for text in found.texts):
        raise UserError("the reason holds what is to be redacted: it is kept in the log, say it without")

    def carry_out(connection: Connection, _: Sequence[Event]) -> None:
        packer = _clean_dictionaries(connection, found.texts)
        for stream, positions in found.streams.items():
            _rewrite(connection, packer, stream, positions, found.texts)

    event = maintenance_event(LogRedacted(tuple(found.positions), reason), actor, now)
    return EventLog(engine).append([event], now=now, also=carry_out)[0]


def take_out(type_name: str, payload: JsonObject, texts: Iterable[str]) -> JsonObject:
    """The payload without the texts."""
    whole = _WHOLE.get(type_name)
    return {name: _without(value, tuple(texts), whole=name == whole) for name, value in payload.items()}


def _variants(texts: Iterable[str]) -> frozenset[str]:
    given = frozenset(texts)
    if not given or any(len(text) < _SHORTEST for text in given):
        raise UserError(f"a text to redact has {_SHORTEST} characters or more: a shorter one is part of ordinary words")
    return given | {base64.b64encode(text.encode()).decode() for text in given}


def _refuse_names(connection: Connection, texts: frozenset[str]) -> None:
    for place in _NAMES:
        table, _, column = place.split(" ")
        for (name,) in run(connection, f"SELECT {column} FROM {table}"):  # noqa: S608 the names are ours
            if any(text in name for text in texts):
                raise UserError(f"it is part of a name in {table}: names identify events and cannot be redacted")


def _refuse_current(connection: Connection, texts: frozenset[str]) -> None:
    """While the cluster shows the value, the controller would record it again."""
    sql = "SELECT kind_key, namespace, name, object FROM p_objects ORDER BY key"
    found = [
        f"{kind.split('/')[-1].lower()} {namespace + '/' if namespace else ''}{name}"
        for kind, namespace, name, obj in run(connection, sql)
        if _holds(obj.encode(), texts)
    ]
    if found:
        more = f" and {len(found) - _TOLD} more" if len(found) > _TOLD else ""
        raise UserError(
            f"still in the cluster, in {', '.join(found[:_TOLD])}{more}: change it there, or start the controller with a"
            " --redact rule for it, then repeat"
        )


def _holds(text: bytes, texts: Iterable[str]) -> bool:
    return any(orjson.dumps(one)[1:-1] in text for one in texts)


def _without(value: JsonValue, texts: tuple[str, ...], *, whole: bool) -> JsonValue:
    if isinstance(value, dict):
        return {_replaced(name, texts): _without(item, texts, whole=whole) for name, item in value.items()}
    if isinstance(value, list):
        return [_without(item, texts, whole=whole) for item in value]
    if isinstance(value, str) and any(text in value for text in texts):
        return dict(_GONE) if whole else _replaced(value, texts)
    return value


def _replaced(value: str, texts: tuple[str, ...]) -> str:
    for text in sorted(texts, key=len, reverse=True):
        value = value.replace(text, "[redacted]")
    return value


def _rewrite(connection: Connection, packer: Packer, stream: int, positions: set[int], texts: frozenset[str]) -> None:
    """What held the texts is written without them, and what is a delta against it anew."""
    decoder = Decoder(packer)
    bases: dict[int, JsonObject] = {}
    changed: set[int] = set()
    updates = []
    for row in run(connection, _OF_STREAM, (stream,)):
        one = decoder.stored(connection, tuple(row))
        holds = one.position in positions
        clean = take_out(one.type, one.payload, texts) if holds else one.payload
        if one.base_version is None:
            # what a delta is taken against comes before it
            bases[one.version] = clean
        if holds:
            changed.add(one.version)
        if holds or one.base_version in changed:
            base = None if one.base_version is None else bases[one.base_version]
            updates.append((*_packed(packer, clean, base, one.encoding & LATE), one.position))
    run_many(connection, "UPDATE events SET encoding = ?, payload = ? WHERE position = ?", updates)
    run_many(connection, "UPDATE events SET salt = NULL WHERE position = ?", [(position,) for position in positions])


def _packed(packer: Packer, payload: JsonObject, base: JsonObject | None, flags: int) -> tuple[int, bytes]:
    if base is None:
        return packer.pack(canonical(payload), flags)
    return packer.pack(canonical(diff(base, payload)), flags | DELTA)


def _clean_dictionaries(connection: Connection, texts: frozenset[str]) -> Packer:
    """A dictionary that learnt from the value is replaced, and with it every payload it is needed for."""
    bad = [
        number
        for number, body in run(connection, "SELECT id, body FROM dictionaries").all()
        if any(text.encode() in bytes(body) for text in texts)
    ]
    if not bad:
        return Packer.load(connection)
    before = Packer.load(connection)
    last = run(connection, "SELECT max(id) FROM dictionaries").scalar_one()
    body = bytes(run(connection, "SELECT body FROM dictionaries WHERE id = ?", (last,)).scalar_one())
    for text in texts:
        body = body.replace(text.encode(), b" " * len(text.encode()))
    run(connection, "INSERT INTO dictionaries (id, body) VALUES (?, ?)", (last + 1, body))
    after = Packer.load(connection)
    for rows in pages(connection, _PAYLOADS, _AT_ONCE):
        updates = [
            (*after.pack(before.unpack(encoding, bytes(payload)), encoding & (DELTA | LATE)), position)
            for position, encoding, payload in rows
            if encoding & COMPRESSED and encoding // DICTIONARY in bad
        ]
        run_many(connection, "UPDATE events SET encoding = ?, payload = ? WHERE position = ?", updates)
    run_many(connection, "DELETE FROM dictionaries WHERE id = ?", [(number,) for number in bad])
    return Packer.load(connection)
