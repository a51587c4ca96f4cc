"""``kro-es db``: bring the database up to date, and prove that it is whole."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="The database of the log.")
Database = Annotated[str, typer.Option(envvar="KRO_ES_DATABASE", help="sqlite:///path or postgresql://...")]


@app.command()
def upgrade(database: Database) -> None:
    """Bring the schema to this version."""
    from kro_es.store import migrate
    from kro_es.store.engine import open_engine

    engine = open_engine(database)
    migrate.migrate(engine)
    typer.echo(f"at revision {migrate.current(engine)}")


@app.command()
def current(database: Database) -> None:
    """Print the schema revision of the database."""
    from kro_es.store import migrate
    from kro_es.store.engine import open_engine

    typer.echo(migrate.current(open_engine(database)) or "none")


@app.command()
def check(database: Database) -> None:
    """Schema current, chain whole, projections equal to a rebuild from zero; exit 1 when not."""
    from sqlalchemy import create_engine

    from kro_es.projections.registry import PROJECTIONS
    from kro_es.store import migrate
    from kro_es.store.engine import open_engine
    from kro_es.store.rebuild import compare, rebuild
    from kro_es.store.verify import verify

    engine = open_engine(database)
    migrate.check(engine)
    report = verify(engine)
    other = create_engine("sqlite://")
    migrate.migrate(other)
    rebuild(engine, PROJECTIONS, other)
    faults = [*report.faults, *compare(engine, other, PROJECTIONS)]
    for fault in faults:
        typer.echo(fault, err=True)
    if faults:
        raise typer.Exit(1)
    typer.echo(f"whole: {report.events} events, chain and projections verified")
