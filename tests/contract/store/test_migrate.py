"""Migrations from nothing give exactly the declared schema, and no program runs on another one."""

from __future__ import annotations

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine

from kro_es.projections.registry import PROJECTIONS
from kro_es.store.errors import SchemaError
from kro_es.store.event_log import EventLog
from kro_es.store.migrate import check, current, migrate
from kro_es.store.tables import schema
from kro_es.store.views import VIEWS
from tests.contract.store.support import NOW, seen, settled


def test_migrations_give_the_declared_schema(engine: Engine) -> None:
    assert current(engine) is None
    migrate(engine)
    migrate(engine)
    check(engine)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"include_object": _ours})
        assert compare_metadata(context, schema(PROJECTIONS)) == []


def _ours(item: object, name: str | None, kind: str, reflected: bool, compared: object) -> bool:
    return name != "alembic_version"


def test_a_database_without_a_log_is_refused(engine: Engine) -> None:
    with pytest.raises(SchemaError, match="upgrade"):
        check(engine)


def test_a_database_of_a_newer_program_is_refused(engine: Engine) -> None:
    migrate(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(SchemaError, match="newer"):
        check(engine)


def test_every_view_has_the_columns_it_documents(engine: Engine) -> None:
    migrate(engine)
    log = EventLog(engine, PROJECTIONS, cluster="cluster-1")
    log.issue_fence()
    log.append([seen("a", 1), settled("i")], now=NOW)
    with engine.connect() as connection:
        for name, view in VIEWS.items():
            assert list(connection.exec_driver_sql(f"SELECT * FROM {name}").keys()) == list(view.columns), name
