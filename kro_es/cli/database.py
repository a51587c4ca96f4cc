"""``kro-es db``: bring the database up to date, and prove that it is whole."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from sqlalchemy import create_engine

from kro_es.projections.registry import PROJECTIONS
from kro_es.store import migrate
from kro_es.store.engine import open_engine
from kro_es.store.rebuild import compare, rebuild
from kro_es.store.verify import verify

app = typer.Typer(no_args_is_help=True, help="The database of the log.")
Database = Annotated[str, typer.Option(envvar="KRO_ES_DATABASE", help="sqlite:///path or postgresql://...")]


@app.command()
def upgrade(database: Database) -> None:
    """Bring the schema to this version."""
    engine = open_engine(database)
    migrate.migrate(engine)
    Console().print(f"at revision {migrate.current(engine)}")


@app.command()
def current(database: Database) -> None:
    """Print the schema revision of the database."""
    Console().print(migrate.current(open_engine(database)) or "none")


@app.command()
def check(database: Database) -> None:
    """Schema current, chain whole, projections equal to a rebuild from zero; exit 1 when not."""
    engine = open_engine(database)
    migrate.check(engine)
    report = verify(engine)
    other = create_engine("sqlite://")
    migrate.migrate(other)
    rebuild(engine, PROJECTIONS, other)
    faults = [*report.faults, *compare(engine, other, PROJECTIONS)]
    for fault in faults:
        Console(stderr=True).print(fault, highlight=False, markup=False)
    if faults:
        raise typer.Exit(1)
    Console().print(f"whole: {report.events} events, chain and projections verified")
