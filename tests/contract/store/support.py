"""Small events and small projections, so that a test says what it is about and nothing else."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from sqlalchemy import Engine

from kro_es.api.objects import JsonObject
from kro_es.events.types import (
    Actor,
    CommandRollback,
    Event,
    InstanceGone,
    InstanceSettled,
    NewEvent,
    ObjectDeleted,
    ObjectObserved,
    Subject,
)
from kro_es.projections.projection import EVERY, Column, Projection, Row
from kro_es.store.digest import NO_CHAIN
from kro_es.store.engine import WRITE
from kro_es.store.packing import shipped_dictionary
from kro_es.store.tables import schema
from kro_es.store.views import create_views

ACTOR = Actor("kubectl", "manager")
NOW = 1_700_000_000_000_000


def config_map(name: str, version: int, **data: object) -> JsonObject:
    meta = {"name": name, "namespace": "default", "uid": f"uid-{name}", "resourceVersion": str(version)}
    padding = {f"key-{index}": "some value that does not change" for index in range(20)}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {**padding, **data}}


def seen(name: str, version: int, **data: object) -> NewEvent:
    """An observation; the same name and version is the same fact."""
    return NewEvent(
        stream=f"object//ConfigMap/default/{name}",
        body=ObjectObserved(config_map(name, version, **data)),
        subject=Subject("", "ConfigMap", "default", name, f"uid-{name}"),
        actor=ACTOR,
        occurred_at=NOW + version,
        resource_version=version,
        event_id=hashlib.sha256(f"{name}/{version}".encode()).hexdigest()[:32],
    )


def deleted(name: str, version: int) -> NewEvent:
    base = seen(name, version)
    return replace(base, body=ObjectDeleted(), event_id=hashlib.sha256(f"{name}/gone".encode()).hexdigest()[:32])


def settled(uid: str, *, expected: int | None = None, state: str = "ACTIVE") -> NewEvent:
    return NewEvent(
        stream=f"instance/{uid}",
        body=InstanceSettled("definition-1", 1, 1, state, ready=True),
        subject=Subject("kro.run", "App", "default", "app", uid),
        actor=Actor("kro-es", "controller"),
        occurred_at=NOW,
        expected_version=expected,
    )


def gone(uid: str) -> NewEvent:
    return replace(settled(uid), body=InstanceGone("definition-1"))


def command() -> NewEvent:
    return NewEvent(
        stream="definition/definition-1",
        body=CommandRollback("definition-1", "app", 1, 2, "hash", "because"),
        subject=Subject("kro.run", "ResourceGraphDefinition", "", "app", "definition-1"),
        actor=Actor("alice", "cli"),
        occurred_at=NOW,
    )


class LastSeen:
    """Key: name of the ConfigMap."""

    name = "last_seen"
    version = 1
    columns = (
        Column("namespace", "text", "namespace", indexed=True),
        Column("position", "int", "position"),
        Column("object", "json", "the object"),
        Column("digest", "blob", "digest of the name"),
    )
    bodies = (ObjectObserved, ObjectDeleted)

    def keys(self, event: Event) -> tuple[str, ...]:
        return (event.subject.name,) if isinstance(event.body, ObjectObserved | ObjectDeleted) else ()

    def fold(self, key: str, row: Row | None, event: Event) -> Row | None:
        if not isinstance(event.body, ObjectObserved):
            return None
        return {
            "namespace": event.subject.namespace,
            "position": event.position,
            "object": event.body.object,
            "digest": hashlib.sha256(key.encode()).digest(),
        }


class Counts:
    """Key: type of event."""

    name = "counts"
    version = 1
    columns = (Column("count", "int", "how many"),)
    bodies = EVERY

    def keys(self, event: Event) -> tuple[str, ...]:
        return (event.type,)

    def fold(self, key: str, row: Row | None, event: Event) -> Row | None:
        return {"count": 1 if row is None else int(str(row["count"])) + 1}


PROJECTIONS: tuple[Projection, ...] = (LastSeen(), Counts())


def create(engine: Engine, projections: tuple[Projection, ...]) -> None:
    """What the first migration does, for projections of the tests."""
    metadata = schema(projections)
    with engine.connect().execution_options(**WRITE) as connection, connection.begin():
        metadata.create_all(connection)
        rows: dict[str, JsonObject] = {
            "log_head": {"id": 1, "position": 0, "chain": NO_CHAIN, "fence": 0, "cluster": ""},
            "heartbeat": {"id": 1, "at": 0},
            "dictionaries": {"id": 1, "body": shipped_dictionary()},
        }
        for name, row in rows.items():
            connection.execute(metadata.tables[name].insert(), row)
        create_views(connection)
