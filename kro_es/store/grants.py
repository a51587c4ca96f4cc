"""Who may ask the log on a PostgreSQL server, and nothing but ask."""

from __future__ import annotations

from sqlalchemy import Engine

from kro_es.api.near import meant
from kro_es.errors import UserError
from kro_es.store.sql import run


def grant_reader(engine: Engine, role: str) -> None:
    """SELECT on everything of the log that is there and that a later version makes; no other right.

    Raises UserError where there are no roles, or not this one.
    """
    if engine.dialect.name != "postgresql":
        raise UserError("a SQLite file has no roles: who may read the file may ask the log")
    with engine.begin() as connection:
        known = [str(row[0]) for row in run(connection, "SELECT rolname FROM pg_roles").all()]
        if role not in known:
            hint = meant(role, known) or "; make it with CREATE ROLE ... LOGIN"
            raise UserError(f"the server has no role {role!r}{hint}")
        named = connection.dialect.identifier_preparer.quote(role)
        schema = connection.dialect.identifier_preparer.quote(
            str(run(connection, "SELECT current_schema()").scalar_one())
        )
        for statement in (
            f"GRANT USAGE ON SCHEMA {schema} TO {named}",
            f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {named}",
            # a migration makes the views anew
            f"ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT SELECT ON TABLES TO {named}",
        ):
            connection.exec_driver_sql(statement)
