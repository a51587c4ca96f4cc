"""``kro-es db``: bring the database up to date, prove that it is whole, and keep it small."""

from __future__ import annotations

import getpass
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.console import Console
from sqlalchemy import Engine
from sqlalchemy.exc import ArgumentError

from kro_es.errors import UserError
from kro_es.events.types import Actor
from kro_es.projections.registry import PROJECTIONS
from kro_es.store import migrate
from kro_es.store import prune as pruning
from kro_es.store.engine import open_engine
from kro_es.store.live_rebuild import live_rebuild
from kro_es.store.rebuild import compare_with_log
from kro_es.store.verify import verify as verified

app = typer.Typer(no_args_is_help=True, help="The database of the log.")
Database = Annotated[str, typer.Option(envvar="KRO_ES_DATABASE", help="sqlite:///path or postgresql://...")]
_DAY = 86_400 * 1_000_000


@app.command()
def upgrade(database: Database) -> None:
    """Bring the schema to this version."""
    with _engine(database) as engine:
        migrate.migrate(engine)
        _say(f"at revision {migrate.current(engine)}")


@app.command()
def current(database: Database) -> None:
    """Print the schema revision of the database."""
    with _engine(database) as engine:
        _say(migrate.current(engine) or "none")


@app.command()
def verify(database: Database) -> None:
    """Schema current, chain whole, projections equal to a rebuild from zero; exit 1 when not. Changes nothing."""
    with _opened(database) as engine:
        report = verified(engine)
        faults = [*report.faults, *compare_with_log(engine, PROJECTIONS)]
    for fault in faults:
        Console(stderr=True).print(fault, highlight=False, markup=False)
    if faults:
        raise typer.Exit(1)
    gone = f" ({report.pruned} pruned before, {report.redacted} redacted)" if report.pruned or report.redacted else ""
    _say(f"whole: {report.events} events{gone}, chain and projections verified")


@app.command()
def rebuild(database: Database) -> None:
    """Fold every projection anew, beside the rows in use, then put them in their place; a controller may run."""
    with _opened(database) as engine:
        position = live_rebuild(engine, PROJECTIONS, actor=_actor(), now=_now())
    _say(f"rebuilt: {len(PROJECTIONS)} projections, event {position}")


@app.command()
def prune(
    database: Database,
    status_days: Annotated[
        float, typer.Option(min=0, help="days for which every observation of an object's status is kept")
    ] = 30.0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only say what would go")] = False,
) -> None:
    """Drop old observations that changed nothing but a status; decisions and specs are kept for ever."""
    with _opened(database) as engine:
        now = _now()
        found = pruning.plan(engine, int(now - status_days * _DAY))
        if not dry_run and found.positions:
            pruning.prune(engine, found, actor=_actor(), now=now)
            live_rebuild(engine, PROJECTIONS, actor=_actor(), now=_now())
    for reason, count in sorted(found.kept.items()):
        _say(f"kept: {count} ({reason})")
    _say(f"{'would go' if dry_run else 'gone'}: {len(found.positions)} event(s), {found.bytes} byte(s) of content")


@contextmanager
def _engine(database: str) -> Iterator[Engine]:
    try:
        engine = open_engine(database)
    except (ValueError, ArgumentError) as error:
        raise UserError(f"--database: {error}") from error
    try:
        yield engine
    finally:
        engine.dispose()


@contextmanager
def _opened(database: str) -> Iterator[Engine]:
    """A log of this version; raises SchemaError for any other."""
    with _engine(database) as engine:
        migrate.check(engine)
        yield engine


def _actor() -> Actor:
    """Who runs this command, as the operating system knows them."""
    return Actor(getpass.getuser(), "cli")


def _now() -> int:
    return time.time_ns() // 1000


def _say(text: str) -> None:
    Console().print(text, highlight=False, markup=False, soft_wrap=True)
