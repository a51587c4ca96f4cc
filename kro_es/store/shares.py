"""A fold of the whole log by several processes, each its own streams: the rows are those one process would have made."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from sqlalchemy import Connection, Engine

from kro_es.events.types import Event
from kro_es.projections.projection import Projection
from kro_es.projections.registry import BY_STREAM
from kro_es.store.engine import WRITE, in_memory, open_engine
from kro_es.store.folding import FoldedProjection
from kro_es.store.packing import Packer
from kro_es.store.rows import RowForm
from kro_es.store.sql import marks, read_connection, run
from kro_es.store.stored import SELECT, Decoder
from kro_es.store.tables import projection_schema

_AT_ONCE = 5_000
_MERGED_AT_ONCE = 20_000
"""Rows put into a SQLite database in one transaction: the running writer waits that long."""
_STREAM = (
    "CASE WHEN substr(s.name, 1, 6) = 'audit/'"
    " THEN coalesce((SELECT o.id FROM streams o WHERE o.name = substr(s.name, 7)), s.id) ELSE s.id END"
)
"""An audit goes with the stream it is about. The numbers of streams are dense: they spread evenly."""
_OF_SHARE = f"({_STREAM}) - ({_STREAM}) / ? * ? = ?"


@dataclass(frozen=True, slots=True)
class Share:
    """What one process folds: some streams, or all of them, for some projections."""

    projections: tuple[Projection, ...]
    number: int = 0
    of: int = 1

    @property
    def types(self) -> list[str]:
        """Of the events these projections are made of."""
        return sorted({body.TYPE for projection in self.projections for body in projection.bodies})


def shares(projections: Sequence[Projection], origins: Sequence[str], processes: int) -> list[Share]:
    """``origins``: the names by which the registry knows the projections."""
    pairs = list(zip(projections, origins, strict=True))
    split = tuple(projection for projection, origin in pairs if origin in BY_STREAM)
    rest = tuple(projection for projection, origin in pairs if origin not in BY_STREAM)
    found = [Share(split, number, processes) for number in range(processes)] if split else []
    return [*found, Share(rest)] if rest else found


def fold_shares(engine: Engine, work: Sequence[Share], until: int, processes: int) -> None:
    """Fills the projections' tables, which are there and empty, with the events up to a position; no checkpoint is set.

    PostgreSQL takes the rows of all processes at once. A SQLite file has one writer: each process fills a file of its
    own, beside it, and what is in those is put into it at the end.
    """
    url = engine.url.render_as_string(hide_password=False)
    apart = engine.dialect.name == "sqlite"
    if in_memory(engine):
        raise ValueError("a database in memory has one process")
    folder = _folder(Path(str(engine.url.database))) if apart else None
    into = [url if folder is None else f"sqlite:///{folder}/{number}.db" for number in range(len(work))]
    try:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(processes, mp_context=context, initializer=_end_with_parent) as pool:
            for done in [pool.submit(fold_share, url, *one, until) for one in zip(work, into, strict=True)]:
                done.result()
        if folder is not None:
            for number, share in enumerate(work):
                _merge(engine, folder / f"{number}.db", share)
    finally:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def _folder(database: Path) -> Path:
    """For the files beside the database; those of a rebuild that was killed go."""
    prefix = f"{database.name}.rebuild-"
    for left in database.parent.iterdir():
        if left.name.startswith(prefix):
            shutil.rmtree(left, ignore_errors=True)
    return Path(tempfile.mkdtemp(dir=database.parent, prefix=prefix))


def _end_with_parent() -> None:
    """A process of the pool waits for more work for ever when the one that hands it out is killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watching() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watching, daemon=True).start()


def fold_share(url: str, share: Share, into: str, until: int) -> None:
    """One process's part."""
    source, target = open_engine(url), open_engine(into)
    try:
        if into != url:
            _set_up(target, share)
        folded = [FoldedProjection(projection) for projection in share.projections]
        started = False
        for events in _events(source, share, until):
            with target.connect().execution_options(**WRITE) as connection, connection.begin():
                for one in folded:
                    if not started:
                        one.resume(connection, (one.projection.version, 0), rebuild=True)
                    of_it = [event for event in events if isinstance(event.body, one.projection.bodies)]
                    one.fold(connection, of_it, events[-1].position)
            started = True
    finally:
        source.dispose()
        target.dispose()


def _set_up(target: Engine, share: Share) -> None:
    with target.connect().execution_options(**WRITE) as connection, connection.begin():
        projection_schema(share.projections).create_all(connection)


def _events(source: Engine, share: Share, until: int) -> Iterator[list[Event]]:
    """The events of a share in order, in parts."""
    conditions = ["e.position > ?", "e.position <= ?"]
    values: list[int | str] = []
    if share.of > 1:
        conditions.append(_OF_SHARE)
        values += [share.of, share.of, share.number]
    types = share.types
    conditions.append(f"t.name IN ({marks(len(types))})")
    values += types
    sql = f"{SELECT} WHERE {' AND '.join(conditions)} ORDER BY e.position LIMIT ?"
    position, decoder = 0, None
    while position < until:
        with read_connection(source) as connection, connection.begin():
            decoder = decoder or Decoder(Packer.load(connection))
            rows = run(connection, sql, (position, until, *values, _AT_ONCE)).all()
            events = list(decoder.events(connection, (tuple(row) for row in rows)))
        if not events:
            return
        position = events[-1].position
        yield events


def _merge(engine: Engine, file: Path, share: Share) -> None:
    with engine.connect().execution_options(**WRITE) as connection:
        driver = cast("Any", connection.connection.driver_connection)
        # a transaction cannot begin to know another file
        driver.execute("ATTACH DATABASE ? AS part", (str(file),))
        try:
            for projection in share.projections:
                form = RowForm(projection)
                _copy(connection, form.table, form.listed)
            _copy(connection, "parked", "position, projection, error")
        finally:
            driver.execute("DETACH DATABASE part")


def _copy(connection: Connection, table: str, columns: str) -> None:
    last = start = 0
    with connection.begin():
        last = run(connection, f"SELECT coalesce(max(rowid), 0) FROM part.{table}").scalar_one()  # noqa: S608
    sql = f"INSERT INTO main.{table} ({columns}) SELECT {columns} FROM part.{table} WHERE rowid > ? AND rowid <= ?"  # noqa: S608
    while start < last:
        with connection.begin():
            run(connection, sql, (start, start + _MERGED_AT_ONCE))
        start += _MERGED_AT_ONCE
