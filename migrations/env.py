"""Runs the migrations on the connection it is given, or on the database named with ``-x database=…``."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

from kro_es.projections.registry import PROJECTIONS
from kro_es.store.engine import WRITE, open_engine
from kro_es.store.tables import schema
from kro_es.store.views import drop_views


def run(connection: Connection) -> None:
    # they are of the program's own words, which no table of an older schema fits; the start that migrates makes them anew
    drop_views(connection)
    context.configure(connection=connection, target_metadata=schema(PROJECTIONS))
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    engine = open_engine(context.get_x_argument(as_dictionary=True)["database"])
    with engine.connect().execution_options(**WRITE) as opened, opened.begin():
        run(opened)
