"""``kro-history``: what changed, who did it, why is it stuck, put it back.

The log is the one of --database, or of the controller of --context, which answers what its user may get there.

Exit codes: 0 fine; 1 a mistake in the question, or no answer; 2 there is something: a difference, an instance that is
not ready, a plan that changes something, a log that is not whole; 130 interrupted.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from kro_es.cli import history_state
from kro_es.cli.history_state import State
from kro_es.cli.output import RED, ReaderGone, Screen, coloured
from kro_es.cli.preferences import preferences
from kro_es.cli.remote import Place
from kro_es.errors import KroEsError, UserError

COMMANDS = {
    name: f"kro_es.cli.history_{module}"
    for module, names in (
        ("log", "log show"),
        ("changes", "revisions rollouts diff blame why"),
        ("log", "instance"),
        ("changes", "graph doctor drift stats"),
        ("log", "gaps sql export"),
        ("verify", "verify checkpoint"),
        ("rollback", "rollback holds release"),
        ("pin", "pin unpin pins"),
        ("redact", "redact"),
        ("report", "report"),
    )
    for name in names.split()
}
"""Command and the module its function of that name is in; only the module of the command that is asked for is loaded."""


class _Commands(TyperGroup):
    """A question for a cluster is read here like any other, and then asked there as it was typed."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        program = typer.Typer(add_completion=False, rich_markup_mode=None)
        program.command(cmd_name)(getattr(import_module(COMMANDS[cmd_name]), cmd_name))
        return get_command(program)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, command, rest = super().resolve_command(ctx, args)
        if command is not None and command.callback is not None:
            command.callback = _anywhere(ctx, [name or "", *rest], command.callback)
        return name, command, rest


def _anywhere(context: Any, question: list[str], here: Callable[..., Any]) -> Callable[..., Any]:
    """The command, or its question put to the cluster that was named; which, is known when the options are read."""

    def asked(**values: Any) -> Any:
        found = context.obj
        assert isinstance(found, State)
        return here(**values) if found.place is None else found.place.ask(question, found.screen)

    return asked


app = typer.Typer(
    cls=_Commands, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None, help=__doc__
)


@app.callback()
def _options(  # noqa: PLR0913 - one parameter per flag
    context: typer.Context,
    database: Annotated[
        str | None, typer.Option(envvar="KRO_ES_DATABASE", help="sqlite:///path, a path, or postgresql://...")
    ] = None,
    kubeconfig: Annotated[str | None, typer.Option(help="of a cluster whose controller answers instead")] = None,
    cluster: Annotated[str | None, typer.Option("--context", help="context of the kubeconfig")] = None,
    utc: Annotated[bool | None, typer.Option("--utc/--local", help="times in UTC, or of this place")] = None,
    relative: Annotated[bool | None, typer.Option("--relative/--absolute", help="times as ages, or as times")] = None,
    pager: Annotated[bool | None, typer.Option("--pager/--no-pager", help="long answers through $PAGER")] = None,
) -> None:
    own = preferences()
    utc, relative, pager = (
        kept if given is None else given
        for given, kept in ((utc, own.utc), (relative, own.relative), (pager, own.pager))
    )
    screen = Screen(history_state.clock(), utc=utc, relative=relative, pager=pager)
    place = _place(context, kubeconfig, cluster)
    found = None if place else database or own.database
    context.obj = State(found, screen, place if place or found else Place())
    context.call_on_close(screen.flush)
    context.call_on_close(context.obj.close)


def _place(context: typer.Context, kubeconfig: str | None, cluster: str | None) -> Place | None:
    """The cluster that was named: it counts more than a variable or a file that names a database."""
    if kubeconfig is None and cluster is None:
        return None
    source = context.get_parameter_source("database")
    if source is not None and source.name == "COMMANDLINE":
        raise UserError("--database and --context (or --kubeconfig) exclude each other")
    return Place(kubeconfig, cluster)


def run() -> int:
    """Exit code; an expected error is one line on stderr, a closed pipe is no error."""
    try:
        code = app(standalone_mode=False)
    except typer.Abort:
        return _said("stopped", 130)
    except typer.TyperException as error:
        return _said(f"{error}; kro-history --help tells more", 1)
    except KroEsError as error:
        return _said(str(error), 1)
    except KeyboardInterrupt:
        return 130
    except ReaderGone:
        return 0
    return code if isinstance(code, int) else 0


def _said(text: str, code: int) -> int:
    print(coloured(f"kro-history: {text}", RED, sys.stderr), file=sys.stderr)  # noqa: T201 the program's one complaint
    return code


def main() -> None:
    """Entry point."""
    sys.exit(run())


if __name__ == "__main__":
    main()
