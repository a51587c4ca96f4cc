"""Whether the log is what was written: every leaf and the whole chain, recomputed from the rows."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field

from sqlalchemy import Connection, Engine

from kro_es.events.delta import canonical
from kro_es.events.types import LogPruned, LogRedacted
from kro_es.store.digest import NO_CHAIN, PrunedDigest, chain, leaf
from kro_es.store.errors import LogDamaged
from kro_es.store.maintenance import Told, silent
from kro_es.store.packing import Packer
from kro_es.store.sql import Values, read_connection, rows_by_page, run
from kro_es.store.stored import SELECT, Decoder

_AT_ONCE = 2000
_FAULTS_KEPT = 100
_COMMITS = (
    "SELECT last_position, first_position, chain FROM commits WHERE last_position > ? ORDER BY last_position LIMIT ?"
)
_GONE = (
    "SELECT p.position, s.name, p.stream_version, p.leaf, p.pruned_by FROM pruned p"
    " JOIN streams s ON s.id = p.stream_id WHERE p.position > ? ORDER BY p.position LIMIT ?"
)
_GONE_WIDTH = 5
_FULL = f"{SELECT} WHERE e.position > ? ORDER BY e.position LIMIT ?"


@dataclass(slots=True)
class VerifyReport:
    """What was looked at and what was found; at most the first hundred faults are worded."""

    events: int = 0
    commits: int = 0
    pruned: int = 0
    """Events of which only the leaf is left, as an event of the log says."""
    redacted: int = 0
    """Events whose salt is deleted: their content can no longer be proved, their place can."""
    faults: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.faults

    def fault(self, text: str) -> None:
        if len(self.faults) < _FAULTS_KEPT:
            self.faults.append(text)


def verify(engine: Engine, told: Told = silent) -> VerifyReport:
    """Reads the whole log at one moment, once, and keeps little of it; never changes anything."""
    report = VerifyReport()
    with read_connection(engine) as connection, connection.begin():
        position, digest = run(connection, "SELECT position, chain FROM log_head").one()
        links = _Links(connection, report)
        _check_events(connection, report, links, lambda done: told(done, position))
        last, found = links.end()
        if last != position or found != bytes(digest):
            report.fault(f"the head says {position}, the chain ends at {last}")
        if report.events + report.pruned != position:
            report.fault(f"the head says {position} events, there are {report.events} and {report.pruned} pruned ones")
    return report


class _Links:
    """The chain, followed as the leaves come by; it is taken up again after a break."""

    def __init__(self, connection: Connection, report: VerifyReport) -> None:
        self._report = report
        self._commits = rows_by_page(connection, _COMMITS, _AT_ONCE)
        self._next = next(self._commits, None)
        self._leaves: list[bytes] = []
        self._last, self._digest = 0, NO_CHAIN

    def leaf(self, position: int, leaf_: bytes) -> None:
        while self._next is not None and self._next[0] < position:
            self._close(self._next)
        self._leaves.append(leaf_)

    def end(self) -> tuple[int, bytes]:
        """The last position and digest, when all leaves were there."""
        while self._next is not None:
            self._close(self._next)
        return self._last, self._digest

    def _close(self, commit: Values) -> None:
        end, first, stored = commit
        self._report.commits += 1
        if first != self._last + 1 or chain(self._digest, first, end, self._leaves) != bytes(stored):
            self._report.fault(f"commit {first}-{end}: the chain is broken")
        self._last, self._digest, self._leaves = end, bytes(stored), []
        self._next = next(self._commits, None)


class _Pruned:
    """Digests of what is gone, by the event that accounts for it."""

    def __init__(self) -> None:
        self._digests: dict[int, PrunedDigest] = {}

    def add(self, row: Values) -> None:
        position, _, _, leaf_, by = row
        self._digests.setdefault(by, PrunedDigest()).add(position, bytes(leaf_))

    def check(self, connection: Connection, decoder: Decoder, report: VerifyReport) -> None:
        for by, digest in self._digests.items():
            rows = run(connection, f"{SELECT} WHERE e.position = ?", (by,)).all()
            event = next(decoder.events(connection, [tuple(row) for row in rows]), None)
            if event is None or not isinstance(event.body, LogPruned) or event.body.digest != digest.hex():
                report.fault(f"events are gone that event {by} does not account for")


def _accounted(connection: Connection, decoder: Decoder) -> set[int]:
    """Positions that an event of the log says were redacted."""
    rows = run(connection, f"{SELECT} WHERE t.name = ? ORDER BY e.position", (LogRedacted.TYPE,)).all()
    bodies = [event.body for event in decoder.events(connection, [tuple(row) for row in rows])]
    return {position for body in bodies if isinstance(body, LogRedacted) for position in body.positions}


def _check_events(connection: Connection, report: VerifyReport, links: _Links, told: Callable[[int], None]) -> None:
    decoder = Decoder(Packer.load(connection))
    redacted, pruned = _accounted(connection, decoder), _Pruned()
    versions: dict[str, int] = {}
    before = 0
    full, gone = (rows_by_page(connection, sql, _AT_ONCE) for sql in (_FULL, _GONE))
    for row in heapq.merge(full, gone, key=lambda row: int(row[0])):
        position = row[0]
        for missing in range(before + 1, position):
            report.fault(f"event {missing} is missing or names what is not there")
        before = position
        if len(row) == _GONE_WIDTH:
            report.pruned += 1
            pruned.add(row)
            links.leaf(position, bytes(row[3]))
            _follow(versions, row[1], row[2], position, report)
            continue
        report.events += 1
        if row[-2] is None and position in redacted:
            report.redacted += 1
        else:
            _check_event(connection, decoder, row, report)
        links.leaf(position, bytes(row[-1]))
        _follow(versions, row[1], row[2], position, report)
        if position % _AT_ONCE == 0:
            told(position)
    pruned.check(connection, decoder, report)


def _follow(versions: dict[str, int], stream: str, version: int, position: int, report: VerifyReport) -> None:
    if version != versions.get(stream, 0) + 1:
        report.fault(f"event {position}: version {version} of {stream} follows {versions.get(stream, 0)}")
    versions[stream] = version


def _check_event(connection: Connection, decoder: Decoder, row: Values, report: VerifyReport) -> None:
    try:
        stored = decoder.stored(connection, row)
    except LogDamaged as error:
        report.fault(f"event {row[0]}: {error}")
        return
    if stored.salt is None:
        report.fault(f"event {row[0]}: its salt is gone and no event accounts for that")
    elif leaf(stored.header, stored.salt, canonical(stored.payload)) != stored.leaf:
        report.fault(f"event {row[0]}: not what was written")
