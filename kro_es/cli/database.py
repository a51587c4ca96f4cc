"""``kro-es db``: bring the database up to date, prove that it is whole, and keep it small."""

from __future__ import annotations

import getpass
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.table import Table
from sqlalchemy import Engine
from sqlalchemy.exc import ArgumentError

from kro_es.cli.progress import progress
from kro_es.cli.typed import Group
from kro_es.errors import UserError
from kro_es.events.types import Actor, Event, LogCopied
from kro_es.projections.registry import PROJECTIONS
from kro_es.store import backup as backups
from kro_es.store import grants, migrate, transfer
from kro_es.store import prune as pruning
from kro_es.store import retrain as retraining
from kro_es.store.delegation import standings
from kro_es.store.engine import open_engine
from kro_es.store.event_log import EventLog
from kro_es.store.live_rebuild import live_rebuild, owed
from kro_es.store.log_reader import LogReader
from kro_es.store.maintenance import maintenance_event
from kro_es.store.rebuild import compare_with_log
from kro_es.store.verify import verify as verified

app = typer.Typer(cls=Group, no_args_is_help=True, rich_markup_mode=None, help="The database of the log.")
Database = Annotated[str, typer.Option(envvar="KRO_ES_DATABASE", help="sqlite:///path or postgresql://...")]
_DAY = 86_400 * 1_000_000


@app.command()
def grant_reader(
    database: Database, role: Annotated[str, typer.Argument(help="a role of the PostgreSQL server")]
) -> None:
    """Let a role of the server ask the log: SELECT, and nothing else; also on what later versions add."""
    with _engine(database) as engine:
        grants.grant_reader(engine, role)
    Console().print(f"{role} may ask", highlight=False, markup=False)


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
def status(database: Database) -> None:
    """Where the log is, and every projection: its version, how far behind it is, who folds it, events it failed on."""
    with _opened(database) as engine:
        schema, head, found = migrate.current(engine), LogReader(engine).head(), standings(engine, PROJECTIONS)
    _say(f"schema {schema}, {head} event(s)")
    table = Table("projection", "version", "position", "behind", "folded by", "parked", box=None, pad_edge=False)
    for one in found:
        table.add_row(one.name, *map(str, (one.version, one.position, one.behind, one.folded_by, one.parked)))
    Console(soft_wrap=True).print(table, highlight=False, markup=False)


@app.command()
def verify(database: Database) -> None:
    """Schema current, chain whole, projections equal to a rebuild from zero; exit 1 when not. Changes nothing."""
    with _opened(database) as engine:
        with progress("digests") as told:
            report = verified(engine, told)
        with progress("projections") as told:
            faults = [*report.faults, *compare_with_log(engine, PROJECTIONS, told)]
        if faults and not report.faults:
            faults.append(_only_rows(owed(engine)))
    for fault in faults:
        Console(stderr=True).print(fault, highlight=False, markup=False, soft_wrap=True)
    if faults:
        raise typer.Exit(1)
    gone = f" ({report.pruned} pruned before, {report.redacted} redacted)" if report.pruned or report.redacted else ""
    _say(f"whole: {report.events} events{gone}, chain and projections verified")


def _only_rows(interrupted: Event | None) -> str:
    since = f"; what {interrupted.type} (event {interrupted.position}) began was interrupted" if interrupted else ""
    return f"the log is whole, its rows are not: kro-es db rebuild folds them anew{since}"


@app.command()
def rebuild(
    database: Database,
    processes: Annotated[int, typer.Option(min=1, help="processes that share the work, each some of the streams")] = 1,
) -> None:
    """Fold every projection anew, beside the rows in use, then put them in their place; a controller may run."""
    with _opened(database) as engine, progress("events folded") as told:
        position = live_rebuild(engine, PROJECTIONS, actor=_actor(), now=_now(), processes=processes, told=told)
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
        with progress("events looked at") as told:
            found = pruning.plan(engine, int(now - status_days * _DAY), told)
        if not dry_run and (found.positions or owed(engine)):
            pruning.prune(engine, found, actor=_actor(), now=now)
            with progress("events folded") as told:
                live_rebuild(engine, PROJECTIONS, actor=_actor(), now=_now(), told=told)
    for reason, count in sorted(found.kept.items()):
        _say(f"kept: {count} ({reason})")
    _say(f"{'would go' if dry_run else 'gone'}: {len(found.positions)} event(s), {found.bytes} byte(s) of content")


@app.command()
def retrain(database: Database) -> None:
    """Learn a compression dictionary from the log; it is used from then on, and only if it is better."""
    with _opened(database) as engine:
        found = retraining.retrain(engine, actor=_actor(), now=_now())
    verdict = f"in use, event {found.event.position}" if found.event else "no better, nothing changed"
    _say(f"{found.samples} samples: {found.before} bytes before, {found.after} after; {verdict}")


@app.command()
def backup(
    database: Database, file: Annotated[Path, typer.Argument(help="a new file; it is a database, sealed until adopted")]
) -> None:
    """Copy a SQLite database, also while a controller writes it, and verify the copy; its redaction key is not copied."""
    with _opened(database) as engine:
        _note_copy(engine, file, "backup")
        with progress("pages copied") as told, progress("digests") as verifying:
            report = backups.backup(engine, file, now=_now(), told=told, verifying=verifying)
    if not report.ok:
        raise UserError(f"{file} is not whole: {report.faults[0]}")
    _say(f"whole: {report.events} events in {file}; kro-es db adopt makes it a log to act on")


@app.command()
def adopt(database: Database) -> None:
    """Make a backup or an imported log one to act on, when no controller runs on the original any more."""
    with _opened(database) as engine:
        event = backups.adopt(engine, actor=_actor(), now=_now())
    _say(f"adopted, event {event.position}")


@app.command()
def export(
    database: Database, file: Annotated[Path, typer.Argument(help="a new file, JSON lines compressed with zstd")]
) -> None:
    """Write the whole log to a file, with its digests, for the other kind of database or to keep."""
    with _opened(database) as engine:
        _note_copy(engine, file, "export")
        with progress("lines written") as told:
            manifest = transfer.export(engine, file, told)
    _say(f"{manifest.events} events up to {manifest.position}, chain {manifest.chain}")


@app.command("import")
def import_(database: Database, file: Annotated[Path, typer.Argument(help="a file of kro-es db export")]) -> None:
    """Fill a new database with an exported log, verify it, and seal it until it is adopted."""
    with _engine(database) as engine:
        migrate.migrate(engine)
        with progress("events read") as told:
            manifest = transfer.import_log(engine, file, PROJECTIONS, now=_now(), told=told)
        with progress("digests") as told:
            faults = verified(engine, told).faults
    if faults:
        raise UserError(f"the imported log is not whole: {faults[0]}")
    _say(f"whole: {manifest.events} events up to {manifest.position}, chain {manifest.chain}")


def _note_copy(engine: Engine, file: Path, form: Literal["backup", "export"]) -> None:
    """The log knows its copies: a redaction names them."""
    if file.exists():
        raise UserError(f"{file} is there already")
    event = maintenance_event(LogCopied(str(file.absolute()), form), _actor(), _now())
    EventLog(engine).append([event], now=_now())


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
