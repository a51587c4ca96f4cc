"""The whole log as a file and back, digests and all: from one database to another, or to keep."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, Engine, exc

from kro_es.api.objects import JsonObject
from kro_es.errors import UserError
from kro_es.events.delta import canonical
from kro_es.events.types import Event
from kro_es.projections.projection import Projection
from kro_es.store import lines
from kro_es.store.batch import Content, Encoder, Head, insert
from kro_es.store.engine import WRITE
from kro_es.store.folding import Folding
from kro_es.store.maintenance import Told, silent
from kro_es.store.names import Names
from kro_es.store.packing import LATE, Packer
from kro_es.store.seal import seal
from kro_es.store.sql import Values, read_connection, rows_by_page, run, run_many
from kro_es.store.stored import SELECT, Bases, Decoder, StoredEvent
from kro_es.store.streams import Streams

_FORM = "kro-es log 1"
_AT_ONCE = 2000
_COMMITS = (
    "SELECT last_position, first_position, chain FROM commits WHERE last_position > ? ORDER BY last_position LIMIT ?"
)
_PRUNED = (
    "SELECT p.position, s.name, p.stream_version, p.leaf, p.pruned_by FROM pruned p JOIN streams s ON s.id = p.stream_id"
    " WHERE p.position > ? ORDER BY p.position LIMIT ?"
)


@dataclass(frozen=True, slots=True)
class Manifest:
    """The first line of a file: what is in it, and where its chain ends."""

    form: str
    cluster: str
    position: int
    chain: str
    events: int
    pruned: int
    commits: int
    heartbeat: int


def export(engine: Engine, path: Path, told: Told = silent) -> Manifest:
    """Writes the log as of one moment: lines of JSON, compressed. Whoever reads the file learns what the log tells.

    Raises UserError when there is a file of that name.
    """
    with read_connection(engine) as connection, connection.begin(), lines.written(path) as put:
        manifest = _manifest(connection)
        put({name: getattr(manifest, name) for name in manifest.__slots__})
        for done, line in enumerate(_lines(connection)):
            put(line)
            if done % _AT_ONCE == 0:
                told(done, manifest.events + manifest.pruned + manifest.commits)
    return manifest


def import_log(
    engine: Engine, path: Path, projections: tuple[Projection, ...], *, now: int, told: Told = silent
) -> Manifest:
    """Fills an empty log with a file's, in one transaction, sealed: the same positions, leaves and chain.

    Raises UserError when the log is not empty or the file is not whole. The caller verifies the log.
    """
    with path.open("rb") as file, engine.connect().execution_options(**WRITE) as connection, connection.begin():
        head = Head.locked(connection)
        if head.position or head.cluster:
            raise UserError(f"the log is not empty: it has {head.position} event(s); import into a new database")
        try:
            found = lines.read(file)
            manifest = _manifest_of(next(found, {}))
            filling = _Filling(connection, projections)
            for line in found:
                filling.take(line)
                if filling.events % _AT_ONCE == 0:
                    told(filling.events, manifest.events)
            filling.end()
        except (*lines.FAULTS, exc.DataError, exc.IntegrityError) as error:
            raise UserError(f"{path} is not whole: {error}") from error
        filled = (filling.events, filling.pruned, filling.commits, filling.position, filling.chain.hex())
        wanted = (manifest.events, manifest.pruned, manifest.commits, manifest.position, manifest.chain)
        if filled != wanted:
            raise UserError(
                f"{path} is not whole: it should hold {wanted[:3]} events, pruned ones and commits, not {filled[:3]}"
            )
        run(
            connection,
            "UPDATE log_head SET position = ?, chain = ?, cluster = ?",
            (manifest.position, filling.chain, manifest.cluster),
        )
        run(connection, "UPDATE heartbeat SET at = ?", (manifest.heartbeat,))
        seal(connection, f"imported from {path.name}", now)
    return manifest


def _manifest(connection: Connection) -> Manifest:
    position, chain, cluster = run(connection, "SELECT position, chain, cluster FROM log_head").one()
    events, pruned, commits = (
        int(run(connection, f"SELECT count(*) FROM {table}").scalar_one())  # noqa: S608 the names are ours
        for table in ("events", "pruned", "commits")
    )
    alive = int(run(connection, "SELECT at FROM heartbeat").scalar_one())
    return Manifest(_FORM, cluster, position, bytes(chain).hex(), events, pruned, commits, alive)


def _manifest_of(line: JsonObject) -> Manifest:
    if line.get("form") != _FORM:
        raise UserError("the file is no export of a log that this version reads")
    return Manifest(**line)


def _lines(connection: Connection) -> Iterator[JsonObject]:
    for last, first, chain in rows_by_page(connection, _COMMITS, _AT_ONCE):
        yield {"commit": [first, last, bytes(chain).hex()]}
    for position, stream, version, leaf, by in rows_by_page(connection, _PRUNED, _AT_ONCE):
        yield {"pruned": [position, stream, version, bytes(leaf).hex(), by]}
    decoder = Decoder(Packer.load(connection))
    for row in rows_by_page(connection, f"{SELECT} WHERE e.position > ? ORDER BY e.position LIMIT ?", _AT_ONCE):
        one = decoder.stored(connection, row)
        yield {
            "event": one.header,
            "payload": one.payload,
            "late": bool(one.encoding & LATE),
            "salt": None if one.salt is None else one.salt.hex(),
            "leaf": one.leaf.hex(),
        }


class _Filling:
    """An empty log that is being filled in the order of a file."""

    def __init__(self, connection: Connection, projections: Iterable[Projection]) -> None:
        self._connection = connection
        packer = Packer.load(connection)
        self._names, self._streams = Names(), Streams()
        self._names.refresh(connection)
        self._streams.refresh(connection)
        self._encoder = Encoder(self._names, packer, Bases(packer))
        self._folding = Folding(tuple(projections))
        self._folding.resume(connection, rebuild=True)
        self._gone: dict[int, tuple[str, int, bytes, int]] = {}
        self._commits: list[Values] = []
        self._rows: list[Values] = []
        self._folded: list[Event] = []
        self.events = self.pruned = self.commits = self.position = 0
        self.chain = bytes(32)

    def take(self, line: JsonObject) -> None:
        """One line of the file."""
        if "event" in line:
            self._event(line)
        elif "commit" in line:
            first, last, chain = line["commit"]
            self.chain = bytes.fromhex(chain)
            self.commits += 1
            self._commits.append((first, last, self.chain))
        elif "pruned" in line:
            position, stream, version, leaf, by = line["pruned"]
            self._gone[position] = (stream, version, bytes.fromhex(leaf), by)
        else:
            raise LookupError(f"a line that is no part of a log: {sorted(line)}")

    def end(self) -> None:
        """Everything that was taken is in the tables."""
        self._flush()
        run_many(
            self._connection,
            "INSERT INTO commits (first_position, last_position, chain) VALUES (?, ?, ?)",
            self._commits,
        )

    def _event(self, line: JsonObject) -> None:
        salt = None if line["salt"] is None else bytes.fromhex(line["salt"])
        stored = StoredEvent(line["event"], line["payload"], salt, bytes.fromhex(line["leaf"]), 0, 0, None)
        event = stored.event()
        while self.position + 1 < event.position:
            self._pruned(self.position + 1)
        head = self._streams.find(self._connection, event.stream).copy()
        head.version = event.stream_version
        if not line["late"]:
            head.event_id, head.uid = bytes.fromhex(event.event_id), event.subject.uid
            head.resource_version = event.resource_version
        self._streams.put([head])
        content = Content(stored.payload, canonical(stored.payload), line["late"])
        self._rows.append(self._encoder.row(self._connection, event, head, content, salt, stored.leaf))
        self._folded.append(event)
        self.events += 1
        self.position = event.position
        if len(self._rows) >= _AT_ONCE:
            self._flush()

    def _pruned(self, position: int) -> None:
        """The place of an event that is gone; its stream goes on after it."""
        stream, version, leaf, by = self._gone.pop(position)
        head = self._streams.find(self._connection, stream).copy()
        head.version = version
        self._streams.put([head])
        columns = "position, stream_id, stream_version, leaf, pruned_by"
        sql = f"INSERT INTO pruned ({columns}) VALUES (?, ?, ?, ?, ?)"  # noqa: S608 the names are ours
        run(self._connection, sql, (position, head.id, version, leaf, by))
        self.pruned += 1
        self.position = position

    def _flush(self) -> None:
        self._names.flush(self._connection)
        self._streams.flush(self._connection)
        insert(self._connection, self._rows)
        self._folding.fold(self._connection, self._folded)
        self._rows, self._folded = [], []
