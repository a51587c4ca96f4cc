"""Migrations from nothing give exactly the declared schema, and no program runs on another one."""

from __future__ import annotations

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, inspect

from kro_es.projections.registry import PROJECTIONS
from kro_es.store.engine import WRITE
from kro_es.store.errors import SchemaError
from kro_es.store.event_log import EventLog
from kro_es.store.migrate import _config, check, current, known, migrate
from kro_es.store.prune import plan, prune
from kro_es.store.rebuild import compare_with_log
from kro_es.store.tables import schema
from kro_es.store.verify import verify
from kro_es.store.views import VIEWS
from tests.contract.store.support import ACTOR, NOW, seen, settled
from tests.contract.store.test_prune import churn


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


def _moved(engine: Engine, revision: str) -> None:
    """Down to a revision, as nobody but a test does."""
    with engine.connect().execution_options(**WRITE) as connection, connection.begin():
        config = _config()
        config.attributes["connection"] = connection
        command.downgrade(config, revision)


def test_an_index_of_an_older_program_is_made_anew_and_the_rows_stay(engine: Engine) -> None:
    migrate(engine)
    log = EventLog(engine, PROJECTIONS, cluster="cluster-1")
    log.issue_fence()
    log.append([seen("a", 1), settled("i")], now=NOW)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP INDEX ix_p_timeline_instance_uid")
        connection.exec_driver_sql("DROP INDEX ix_p_timeline_what")
        connection.exec_driver_sql("DROP INDEX ix_p_timeline_definition_uid")
        connection.exec_driver_sql("CREATE INDEX ix_p_timeline_instance_uid ON p_timeline (instance_uid)")
        # of every row, as it was before
        connection.exec_driver_sql("CREATE INDEX ix_p_timeline_definition_uid ON p_timeline (definition_uid, position)")
    migrate(engine)
    with engine.connect() as connection:
        indexes = inspect(connection).get_indexes("p_timeline")
        found = {index["name"]: index["column_names"] for index in indexes}
        partly = {index["name"] for index in indexes if f"{engine.dialect.name}_where" in index["dialect_options"]}
        assert partly == {"ix_p_timeline_what", "ix_p_timeline_definition_uid", "ix_p_timeline_actor_source"}
        assert found["ix_p_timeline_instance_uid"] == ["instance_uid", "position"]
        assert found["ix_p_timeline_what"] == ["what", "position", "instance_uid", "correlation"]
        assert connection.exec_driver_sql("SELECT count(*) FROM p_timeline").scalar_one() == 2
    assert compare_with_log(engine, PROJECTIONS) == []


def test_the_file_names_tell_the_revisions_in_order() -> None:
    found = [script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()]
    assert known() == found[::-1]


def test_every_revision_goes_down_and_up_with_data(engine: Engine) -> None:
    migrate(engine)
    log = EventLog(engine, PROJECTIONS, cluster="cluster-1")
    log.issue_fence()
    log.append([seen("a", 1), seen("a", 2, x=1), settled("i")], now=NOW)
    revisions = [script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()]
    assert len(revisions) >= 4
    for revision in revisions[1:]:
        _moved(engine, revision)
        assert current(engine) == revision
        with pytest.raises(SchemaError, match="upgrade"):
            check(engine)
        migrate(engine)
        check(engine)
        writer = EventLog(engine, PROJECTIONS)
        writer.issue_fence()
        writer.append([settled("i")], now=NOW)
        assert verify(engine).ok
        assert compare_with_log(engine, PROJECTIONS) == []
    assert log.head() == 3 + len(revisions) - 1


def test_a_pruned_log_stays_at_the_schema_that_proves_it(engine: Engine) -> None:
    migrate(engine)
    log = EventLog(engine, PROJECTIONS, cluster="cluster-1")
    log.issue_fence()
    log.append([churn(version, version) for version in range(1, 6)], now=NOW)
    prune(engine, plan(engine, NOW + 1), actor=ACTOR, now=NOW)
    with pytest.raises(RuntimeError, match="was pruned"):
        _moved(engine, "0003")
    assert verify(engine).ok
