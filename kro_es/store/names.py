"""Words to small numbers: what repeats in every event is stored once, and remembered here by the one writer."""

from __future__ import annotations

from sqlalchemy import Connection

from kro_es.api.objects import JsonValue
from kro_es.events.types import Actor, Subject
from kro_es.store.lru import Lru
from kro_es.store.sql import Values, marks, run, run_many

_KEPT = 50_000


class Interned:
    """One table of words. New words are written by :meth:`flush`, in the transaction of the events that use them."""

    def __init__(self, table: str, columns: tuple[str, ...]) -> None:
        self._ids: Lru[Values, int] = Lru(_KEPT)
        self._top = 0
        self._complete = False
        self._new: list[Values] = []
        listed = ", ".join(columns)
        self._count = f"SELECT coalesce(max(id), 0) FROM {table}"  # noqa: S608 the names are ours
        self._load = f"SELECT {listed}, id FROM {table} WHERE id > ? ORDER BY id"  # noqa: S608
        self._find = f"SELECT id FROM {table} WHERE {' AND '.join(f'{name} = ?' for name in columns)}"  # noqa: S608
        self._insert = f"INSERT INTO {table} (id, {listed}) VALUES ({marks(len(columns) + 1)})"  # noqa: S608

    def refresh(self, connection: Connection) -> None:
        """Learns what another process added; a table only grows, so nothing known becomes wrong."""
        before = self._top
        top = self._value(connection, self._count)
        if before == 0:
            # A table that fits is kept whole: then a word that is not here is new, without asking.
            self._complete = top <= _KEPT
        if self._complete:
            for *word, number in run(connection, self._load, (before,)):
                self._ids.put(tuple(word), number)
        self._top = top

    def id(self, connection: Connection, word: Values) -> int:
        found = self._ids.get(word)
        if found is not None:
            return found
        if not self._complete:
            row = run(connection, self._find, word).first()
            if row is not None:
                self._ids.put(word, row[0])
                return int(row[0])
        self._top += 1
        self._ids.put(word, self._top)
        self._new.append((self._top, *word))
        return self._top

    def flush(self, connection: Connection) -> None:
        run_many(connection, self._insert, self._new)
        self._new.clear()
        if len(self._ids) > _KEPT:
            self._complete = False
            self._ids.trim()

    def forget(self) -> None:
        """After a failed transaction nothing it wrote may be believed."""
        self._ids.clear()
        self._new.clear()
        self._top = 0
        self._complete = False

    @staticmethod
    def _value(connection: Connection, sql: str) -> int:
        return int(run(connection, sql).scalar_one())


class Names:
    """All the words of an event but its stream."""

    def __init__(self) -> None:
        self._types = Interned("types", ("name",))
        self._clusters = Interned("clusters", ("uid",))
        self._actors = Interned("actors", ("name", "source"))
        self._correlations = Interned("correlations", ("text",))
        self._subjects = Interned("subjects", ("cluster_id", "api_group", "kind", "namespace", "name", "uid"))
        self._all = (self._types, self._clusters, self._actors, self._correlations, self._subjects)

    def refresh(self, connection: Connection) -> None:
        for table in self._all:
            table.refresh(connection)

    def flush(self, connection: Connection) -> None:
        for table in self._all:
            table.flush(connection)

    def forget(self) -> None:
        for table in self._all:
            table.forget()

    def type(self, connection: Connection, name: str) -> int:
        return self._types.id(connection, (name,))

    def actor(self, connection: Connection, actor: Actor) -> int:
        return self._actors.id(connection, (actor.name, actor.source))

    def correlation(self, connection: Connection, text: str) -> int:
        return self._correlations.id(connection, (text,))

    def subject(self, connection: Connection, cluster: str, subject: Subject) -> int:
        number: JsonValue = self._clusters.id(connection, (cluster,))
        word = (number, subject.group, subject.kind, subject.namespace, subject.name, subject.uid)
        return self._subjects.id(connection, word)
