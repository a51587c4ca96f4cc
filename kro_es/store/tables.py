"""The tables of the log and of every projection, declared once for both databases."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.types import TypeEngine

from kro_es.api.objects import JsonValue
from kro_es.projections.projection import Column as Declared
from kro_es.projections.projection import ColumnType, Projection

LONG = BigInteger().with_variant(Integer(), "sqlite")
"""64 bits on both; SQLite makes a primary key the row id only when it is spelled INTEGER."""
SORTED_TEXT = Text().with_variant(Text(collation="C"), "postgresql")
"""Text in code point order on both, so that the database and Python agree what comes after what."""
_TYPES: dict[ColumnType, TypeEngine[JsonValue]] = {"text": Text(), "int": LONG, "json": Text(), "blob": LargeBinary()}


def schema(projections: Iterable[Projection]) -> MetaData:
    """Every table there is, for these projections."""
    metadata = MetaData()
    _names(metadata)
    _log(metadata)
    _projection_state(metadata)
    for projection in projections:
        projection_table(metadata, projection)
    return metadata


def projection_schema(projections: Iterable[Projection]) -> MetaData:
    """Only what a rebuild writes: rows, checkpoints and parked events."""
    metadata = MetaData()
    _projection_state(metadata)
    for projection in projections:
        projection_table(metadata, projection)
    return metadata


def table_name(projection: str) -> str:
    return f"p_{projection}"


def projection_table(metadata: MetaData, projection: Projection) -> Table:
    columns = [Column(column.name, _TYPES[column.type]) for column in projection.columns]
    table = Table(table_name(projection.name), metadata, Column("key", SORTED_TEXT, primary_key=True), *columns)
    for column in projection.columns:
        if column.indexed:
            _index(table, column)
    return table


def _index(table: Table, column: Declared) -> Index:
    names = [column.name, *column.then]
    where = text(column.rare) if column.common else None
    own = (table.c[name] for name in names)
    return Index(f"ix_{table.name}_{column.name}", *own, sqlite_where=where, postgresql_where=where)


def _id(name: str = "id") -> Column[int]:
    return Column(name, LONG, primary_key=True, autoincrement=False)


def _long(name: str) -> Column[int]:
    return Column(name, LONG, nullable=False)


def _text(name: str) -> Column[str]:
    return Column(name, Text, nullable=False)


def _names(metadata: MetaData) -> None:
    """Words that repeat are stored once; events hold their small numbers."""
    Table("streams", metadata, _id(), Column("name", Text, nullable=False, unique=True))
    subject = ("api_group", "kind", "namespace", "name", "uid")
    Table(
        "subjects",
        metadata,
        _id(),
        _long("cluster_id"),
        *(_text(name) for name in subject),
        UniqueConstraint("cluster_id", "uid", "name", "namespace", "kind", "api_group"),
    )
    Table("actors", metadata, _id(), _text("name"), _text("source"), UniqueConstraint("name", "source"))
    Table("correlations", metadata, _id(), Column("text", Text, nullable=False, unique=True))
    Table("types", metadata, _id(), Column("name", Text, nullable=False, unique=True))
    Table("clusters", metadata, _id(), Column("uid", Text, nullable=False, unique=True))


def _log(metadata: MetaData) -> None:
    Table(
        "events",
        metadata,
        _id("position"),
        _long("stream_id"),
        _long("stream_version"),
        Column("type_id", SmallInteger, nullable=False),
        Column("type_version", SmallInteger, nullable=False),
        _long("subject_id"),
        _long("actor_id"),
        _long("resource_version"),
        _long("occurred_at"),
        _long("recorded_at"),
        _long("cause"),
        _long("correlation_id"),
        Column("event_id", LargeBinary, nullable=False),
        Column("base_version", LONG),
        Column("encoding", SmallInteger, nullable=False),
        Column("payload", LargeBinary, nullable=False),
        Column("salt", LargeBinary),
        Column("leaf", LargeBinary, nullable=False),
        UniqueConstraint("stream_id", "stream_version"),
    )
    Table(
        "commits",
        metadata,
        _id("last_position"),
        _long("first_position"),
        Column("chain", LargeBinary, nullable=False),
    )
    Table(
        "log_head",
        metadata,
        _id(),
        _long("position"),
        Column("chain", LargeBinary, nullable=False),
        _long("fence"),
        _text("cluster"),
    )
    Table("dictionaries", metadata, _id(), Column("body", LargeBinary, nullable=False))
    Table("heartbeat", metadata, _id(), _long("at"))
    Table(
        "pruned",
        metadata,
        _id("position"),
        _long("stream_id"),
        _long("stream_version"),
        Column("leaf", LargeBinary, nullable=False),
        _long("pruned_by"),
    )
    Table("seals", metadata, _id(), _text("reason"), _long("at"))
    Table("delegated", metadata, Column("projection", Text, primary_key=True))


def _projection_state(metadata: MetaData) -> None:
    Table(
        "projection_checkpoints",
        metadata,
        Column("name", Text, primary_key=True),
        _long("version"),
        _long("position"),
    )
    Table("parked", metadata, _id("position"), Column("projection", Text, primary_key=True), _text("error"))
