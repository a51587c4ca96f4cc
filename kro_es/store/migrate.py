"""A database is created and brought up to date by migrations only, and never used by a program it does not fit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, Inspector, Table, inspect

from kro_es.errors import UserError
from kro_es.projections.registry import PROJECTIONS
from kro_es.store.delegation import kept_still
from kro_es.store.engine import WRITE
from kro_es.store.errors import SchemaError
from kro_es.store.sql import run
from kro_es.store.tables import projection_schema, table_name
from kro_es.store.views import create_views, drop_views, views_fit

if TYPE_CHECKING:
    from alembic.config import Config

_UPGRADE = "run `kro-es db upgrade`"


def migrations() -> Path:
    """Where the migrations are: in the installed package, or beside it in a source checkout."""
    here = Path(__file__).parent
    packaged = here / "migrations"
    return packaged if packaged.is_dir() else here.parents[1] / "migrations"


def migrate(engine: Engine, revision: str = "head") -> None:
    """Upgrades (or creates) the schema in one transaction; raises UserError for a database no log can be in."""
    with engine.connect().execution_options(**WRITE) as connection, connection.begin():
        _check_encoding(connection)
        if revision != "head" or _revision(connection) != known()[-1]:
            from alembic import command  # noqa: PLC0415 a sixth of a start's time, and most starts find nothing to do

            config = _config()
            config.attributes["connection"] = connection
            command.upgrade(config, revision)
        if revision == "head":
            fit_projections(connection)


def _check_encoding(connection: Connection) -> None:
    """Objects hold every character there is."""
    if connection.dialect.name != "postgresql":
        return
    found = run(connection, "SHOW server_encoding").scalar()
    if found != "UTF8":
        raise UserError(
            f"the database is in {found}, and a log needs UTF8: CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0"
        )


def fit_projections(connection: Connection) -> None:
    """Gives every projection the table this program declares, and the views their words.

    Rows can be folded from the log at any time: a table with other columns is made anew, empty, and its checkpoint
    goes; the next writer fills it.
    """
    # As in a rebuild: a projector is in the middle of nothing, and does not wait for a table that waits for it.
    kept_still(connection, [projection.name for projection in PROJECTIONS])
    metadata = projection_schema(PROJECTIONS)
    inspector = inspect(connection)
    misfits = []
    for projection in PROJECTIONS:
        table = metadata.tables[table_name(projection.name)]
        if _columns(inspector, table) == set(table.columns.keys()):
            _fit_indexes(connection, inspector, table)
        else:
            misfits.append((projection.name, table))
    if not misfits and views_fit(connection):
        # who asks a view keeps it from being made anew, for as long as the question takes
        return
    drop_views(connection)
    for name, table in misfits:
        table.drop(connection, checkfirst=True)
        table.create(connection)
        for state in ("projection_checkpoints WHERE name", "parked WHERE projection"):
            run(connection, f"DELETE FROM {state} = ?", (name,))  # noqa: S608 the names are ours
    create_views(connection)


def _columns(inspector: Inspector, table: Table) -> set[str]:
    """Names of those it has; none of a table that is not there."""
    if not inspector.has_table(table.name):
        return set()
    return {str(column["name"]) for column in inspector.get_columns(table.name)}


def _fit_indexes(connection: Connection, inspector: Inspector, table: Table) -> None:
    """The rows stay: only what finds them is made anew."""
    partly = f"{connection.dialect.name}_where"
    found = {
        str(index["name"]): (index["column_names"], partly in index.get("dialect_options", {}))
        for index in inspector.get_indexes(table.name)
    }
    wanted = {
        str(index.name): ([column.name for column in index.columns], index.dialect_kwargs[partly] is not None)
        for index in table.indexes
    }
    for name, form in found.items():
        if form != wanted.get(name):
            connection.exec_driver_sql(f"DROP INDEX {name}")
    for index in table.indexes:
        if found.get(str(index.name)) != wanted[str(index.name)]:
            index.create(connection)


def current(engine: Engine) -> str | None:
    """The schema's revision; None for a database without one."""
    with engine.connect() as connection, connection.begin():
        return _revision(connection)


def check(engine: Engine) -> None:
    """Raises SchemaError unless the schema is exactly what this program writes."""
    found = current(engine)
    *_, head = revisions = known()
    if found is None:
        raise SchemaError(f"the database holds no kro-es log yet: {_UPGRADE}")
    if found == head:
        return
    if found not in revisions:
        raise SchemaError(
            f"the database is at schema {found}, which this version of kro-es (schema {head}) does not know:"
            " it was upgraded by a newer one, use that"
        )
    raise SchemaError(f"the database is at schema {found}, this version of kro-es needs {head}: {_UPGRADE}")


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found = run(connection, "SELECT version_num FROM alembic_version").scalar()
    return None if found is None else str(found)


def known() -> list[str]:
    """The revisions this program has, oldest first: what the file names of the migrations begin with."""
    return sorted(path.name.partition("_")[0] for path in (migrations() / "versions").glob("[0-9]*_*.py"))


def _config() -> Config:
    from alembic.config import Config  # noqa: PLC0415 see above

    config = Config()
    # Percent signs would be taken for interpolation.
    config.set_main_option("script_location", str(migrations()).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
