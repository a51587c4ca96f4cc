"""Whether the log is what was written: every leaf and the whole chain, recomputed from the rows."""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlalchemy import Connection, Engine

from kro_es.events.delta import canonical
from kro_es.events.types import LogPruned, LogRedacted
from kro_es.store.digest import NO_CHAIN, PrunedDigest, chain, leaf
from kro_es.store.errors import LogDamaged
from kro_es.store.packing import Packer
from kro_es.store.sql import Values, read_connection, run
from kro_es.store.stored import SELECT, Decoder

_AT_ONCE = 2000
_FAULTS_KEPT = 100
_LEAVES = (
    "SELECT leaf, position FROM events WHERE position BETWEEN ? AND ?"
    " UNION ALL SELECT leaf, position FROM pruned WHERE position BETWEEN ? AND ? ORDER BY position"
)
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


def verify(engine: Engine) -> VerifyReport:
    """Reads the whole log at one moment; never changes anything."""
    report = VerifyReport()
    with read_connection(engine) as connection, connection.begin():
        position, digest = run(connection, "SELECT position, chain FROM log_head").one()
        gone = _check_pruned(connection, report)
        _check_events(connection, report, gone, _accounted(connection))
        last, found = _check_chain(connection, report)
        if last != position or found != bytes(digest):
            report.fault(f"the head says {position}, the chain ends at {last}")
        if report.events + report.pruned != position:
            report.fault(f"the head says {position} events, there are {report.events} and {report.pruned} pruned ones")
    return report


def _check_pruned(connection: Connection, report: VerifyReport) -> dict[int, tuple[str, int]]:
    """Stream and version of every position that was pruned, as far as an event of the log says so."""
    sql = (
        "SELECT p.position, s.name, p.stream_version, p.leaf, p.pruned_by FROM pruned p"
        " JOIN streams s ON s.id = p.stream_id ORDER BY p.position"
    )
    digests: dict[int, PrunedDigest] = {}
    gone: dict[int, tuple[str, int]] = {}
    for position, stream, version, leaf_, by in run(connection, sql):
        digests.setdefault(by, PrunedDigest()).add(position, bytes(leaf_))
        gone[position] = (stream, version)
        report.pruned += 1
    decoder = Decoder(Packer.load(connection))
    for by, digest in digests.items():
        rows = run(connection, f"{SELECT} WHERE e.position = ?", (by,)).all()
        event = next(decoder.events(connection, [tuple(row) for row in rows]), None)
        if event is None or not isinstance(event.body, LogPruned) or event.body.digest != digest.hex():
            report.fault(f"events are gone that event {by} does not account for")
    return gone


def _accounted(connection: Connection) -> set[int]:
    """Positions that an event of the log says were redacted."""
    decoder = Decoder(Packer.load(connection))
    rows = run(connection, f"{SELECT} WHERE t.name = ? ORDER BY e.position", (LogRedacted.TYPE,)).all()
    bodies = [event.body for event in decoder.events(connection, [tuple(row) for row in rows])]
    return {position for body in bodies if isinstance(body, LogRedacted) for position in body.positions}


def _check_events(
    connection: Connection, report: VerifyReport, gone: dict[int, tuple[str, int]], redacted: set[int]
) -> None:
    decoder = Decoder(Packer.load(connection))
    versions: dict[str, int] = {}
    position = 0
    while rows := run(connection, _FULL, (position, _AT_ONCE)).all():
        for row in rows:
            for missing in range(position + 1, row[0]):
                if missing not in gone:
                    report.fault(f"event {missing} is missing or names what is not there")
                else:
                    _follow(versions, *gone[missing], missing, report)
            position = row[0]
            report.events += 1
            if row[-2] is None and position in redacted:
                report.redacted += 1
            else:
                _check_event(connection, decoder, tuple(row), report)
            _follow(versions, row[1], row[2], position, report)


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


def _check_chain(connection: Connection, report: VerifyReport) -> tuple[int, bytes]:
    """The last position and digest of an unbroken chain, as far as it is unbroken."""
    last, digest = 0, NO_CHAIN
    commits = run(connection, "SELECT first_position, last_position, chain FROM commits ORDER BY last_position")
    for first, end, stored in commits.all():
        report.commits += 1
        leaves = run(connection, _LEAVES, (first, end, first, end))
        found = chain(digest, first, end, (bytes(row[0]) for row in leaves))
        if first != last + 1 or found != bytes(stored):
            report.fault(f"commit {first}-{end}: the chain is broken")
        last, digest = end, bytes(stored)
    return last, digest
