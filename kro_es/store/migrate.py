"""A database is created and brought up to date by migrations only, and never used by a program it does not fit."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, Engine

from kro_es.store.engine import WRITE
from kro_es.store.errors import SchemaError

_UPGRADE = "run `kro-es db upgrade`"


def migrations() -> Path:
    """Where the migrations are: in the installed package, or beside it in a source checkout."""
    here = Path(__file__).parent
    packaged = here / "migrations"
    return packaged if packaged.is_dir() else here.parents[1] / "migrations"


def migrate(engine: Engine, revision: str = "head") -> None:
    """Upgrades (or creates) the schema in one transaction."""
    with engine.connect().execution_options(**WRITE) as connection, connection.begin():
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def current(engine: Engine) -> str | None:
    """The schema's revision; None for a database without one."""
    with engine.connect() as connection, connection.begin():
        return _revision(connection)


def check(engine: Engine) -> None:
    """Raises SchemaError unless the schema is exactly what this program writes."""
    found = current(engine)
    scripts = ScriptDirectory.from_config(_config())
    head = scripts.get_current_head()
    if found is None:
        raise SchemaError(f"the database holds no kro-es log yet: {_UPGRADE}")
    if found == head:
        return
    try:
        scripts.get_revision(found)
    except CommandError:
        raise SchemaError(
            f"the database is at schema {found}, which this version of kro-es (schema {head}) does not know:"
            " it was upgraded by a newer one, use that"
        ) from None
    raise SchemaError(f"the database is at schema {found}, this version of kro-es needs {head}: {_UPGRADE}")


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _config() -> Config:
    config = Config()
    # Percent signs would be taken for interpolation.
    config.set_main_option("script_location", str(migrations()).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
