"""``kro-history``: what changed, who did it, why is it stuck, put it back."""

from __future__ import annotations

import asyncio
import getpass
import os
import sys
from dataclasses import asdict, dataclass
from typing import Annotated

import orjson
import typer
from rich.console import Console
from sqlalchemy import Engine

from kro_es.cli.output import Format, show, show_changes
from kro_es.errors import KroEsError
from kro_es.history import queries
from kro_es.history.queries import RevisionName, Target
from kro_es.history.read_only import select
from kro_es.history.rollback import carry_out, plan
from kro_es.store.engine import open_engine
from kro_es.store.migrate import check

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
Output = Annotated[Format, typer.Option("-o", "--output", help="table, json or yaml")]
Namespace = Annotated[str | None, typer.Option("-n", "--namespace", help="namespace of the instance")]


@dataclass(frozen=True, slots=True)
class _Where:
    database: str

    def engine(self) -> Engine:
        """Raises a clear error when the database is not of this version."""
        engine = open_engine(self.database)
        check(engine)
        return engine


@app.callback()
def _options(
    context: typer.Context,
    database: Annotated[str, typer.Option(envvar="KRO_ES_DATABASE", help="sqlite:///path or postgresql://...")],
) -> None:
    context.obj = _Where(database)


@app.command()
def revisions(context: typer.Context, definition: str, output: Output = Format.TABLE) -> None:
    """Every revision of a definition, refused edits included."""
    columns = ("revision", "state", "issued_at", "actor", "actor_source", "rolled_back_to", "reason")
    show(queries.revisions(context.obj.engine(), definition), output, columns)


@app.command("show")
def show_revision(context: typer.Context, revision: str, output: Output = Format.YAML) -> None:
    """The spec of one revision: RGD@N."""
    row = queries.revision(context.obj.engine(), RevisionName.parse(revision))
    spec = row["spec"]
    show(
        orjson.loads(spec) if isinstance(spec, str | bytes) else spec, Format.YAML if output is Format.TABLE else output
    )


@app.command()
def diff(context: typer.Context, old: str, new: str, output: Output = Format.TABLE) -> None:
    """Field by field from RGD@N to RGD@M."""
    engine = context.obj.engine()
    rows = [queries.revision(engine, RevisionName.parse(text))["spec"] for text in (old, new)]
    left, right = (orjson.loads(row) if isinstance(row, str | bytes) else row for row in rows)
    found = list(queries.changes(left, right))
    if output is Format.TABLE:
        show_changes(found)
    else:
        show(found, output)


@app.command()
def instance(context: typer.Context, target: str, namespace: Namespace = None, output: Output = Format.TABLE) -> None:
    """What was seen, decided and applied for KIND/NAME, by whom, caused by what."""
    rows = queries.instance(context.obj.engine(), Target.parse(target, namespace))
    for row in rows:
        row["cause"] = (
            f"{row['cause']} {row['cause_kind']} {row['cause_name']}: {row['cause_summary']}" if row["cause"] else ""
        )
        for name in ("cause_summary", "cause_kind", "cause_name"):
            del row[name]
    show(rows, output)


@app.command()
def graph(
    context: typer.Context,
    target: str,
    namespace: Namespace = None,
    at: Annotated[str | None, typer.Option(help="a position of the log, or a time")] = None,
    output: Output = Format.TABLE,
) -> None:
    """The nodes of KIND/NAME: state, since when, what they wait for; now or at a moment."""
    show(queries.graph(context.obj.engine(), Target.parse(target, namespace), at), output)


@app.command()
def gaps(context: typer.Context, output: Output = Format.TABLE) -> None:
    """When nobody watched."""
    show(queries.table(context.obj.engine(), "SELECT * FROM v_gaps ORDER BY position"), output)


@app.command()
def sql(context: typer.Context, query: str, output: Output = Format.TABLE) -> None:
    """SELECT over the views; the database itself refuses everything else."""
    show(select(context.obj.database, query), output)


@app.command()
def rollback(  # noqa: PLR0913 - one parameter per flag
    context: typer.Context,
    definition: str,
    to: Annotated[int, typer.Option(help="revision whose content comes back")],
    reason: Annotated[str, typer.Option(help="why; kept in the log")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only the plan; exit 2 when it changes something")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
    kubeconfig: Annotated[str | None, typer.Option(envvar="KUBECONFIG")] = None,
    kube_context: Annotated[str | None, typer.Option("--context")] = None,
    output: Output = Format.TABLE,
) -> None:
    """Write the spec of an old revision as the next one, after showing what changes."""
    engine = context.obj.engine()
    made = plan(engine, definition, to)
    if output is Format.TABLE:
        Console().print(f"{definition}: revision {made.base} → content of revision {to}", highlight=False)
        show_changes(made.changes)
    else:
        show({**asdict(made), "changes": list(made.changes)}, output)
    if not made.changes:
        return
    if dry_run:
        raise typer.Exit(2)
    if not yes:
        typer.confirm("Write it?", abort=True)
    user = getpass.getuser()
    position = asyncio.run(carry_out(engine, made, reason, kubeconfig=kubeconfig, context=kube_context, user=user))
    Console(stderr=True).print(f"written as command {position}; the controller issues the revision", highlight=False)


def main() -> None:
    """Entry point; an expected error is one line on stderr and exit code 1, a closed pipe is no error."""
    try:
        app()
    except KroEsError as error:
        Console(stderr=True).print(f"kro-history: {error}", style="red", highlight=False, markup=False)
        sys.exit(1)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


if __name__ == "__main__":
    main()
