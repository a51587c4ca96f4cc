"""What changed, who did it, why is it stuck, put it back.

The log is the one of --database, or of the controller of --context, which answers what its user may get there.

Exit codes: 0 fine; 1 a mistake in the question, or no answer; 2 there is something: a difference, an instance that is
not ready, a plan that changes something, a log that is not whole; 130 interrupted.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperGroup
from typer.main import get_command

from kro_es.api.near import meant
from kro_es.cli import history_state, typed
from kro_es.cli.history_state import State
from kro_es.cli.output import RED, ReaderGone, Screen, coloured
from kro_es.cli.preferences import preferences
from kro_es.cli.remote import Place
from kro_es.errors import Interrupted, KroEsError, UserError
from kro_es.store.errors import in_words


class About(NamedTuple):
    """What is told of a command without loading it."""

    module: str
    """In which its function of that name is."""
    text: str
    examples: tuple[str, ...]


COMMANDS = {
    "log": About(
        "log", "What happened, newest last", (
            "log --since '2h ago' --actor dana",
            "log deploy/blog -n prod --path spec.replicas",
            "log webshop/blog -f -o jsonl",
        ),
    ),
    "show": About("log", "An event, a revision or an object in full", (
        "show 87", "show webshop@2", "show deploy/blog --at 120 -o json",
    )),
    "revisions": About("changes", "Revisions of a definition, refused edits too", ("revisions webshop",)),
    "rollouts": About("changes", "How each revision reached its instances", ("rollouts webshop", "rollouts -o wide")),
    "diff": About("changes", "Two revisions, objects or moments, field by field", (
        "diff webshop@2 webshop@3", "diff webshop/blog --at 120 --to now", "diff 87 120 --of deploy/blog --exit-code",
    )),
    "blame": About("changes", "Who set each field last, when and why", (
        "blame deploy/blog spec.replicas", "blame webshop/blog",
    )),
    "why": About("changes", "The causes, from an edit to its effect", (
        "why webshop/blog", "why deploy/blog spec.replicas", "why 134",
    )),
    "instance": About("log", "One instance: seen, decided, applied", ("instance webshop/blog --limit 20",)),
    "graph": About("changes", "The nodes of an instance, now or then", (
        "graph webshop/blog", "graph webshop/blog --at 2026-03-02T11:05:00Z",
    )),
    "doctor": About("doctor", "Why an instance or a definition is not ready; exit 2", (
        "doctor webshop/blog", "doctor webshop -o json",
    )),
    "drift": About("changes", "What others changed, and when it was put back", (
        "drift webshop/blog", "drift --since 30d -o csv",
    )),
    "stats": About("changes", "Lead time, time to ready, failure rate", ("stats webshop",)),
    "gaps": About("log", "When nobody watched what", ("gaps --since 7d",)),
    "sql": About("log", "SELECT over the views of docs/sql.md", (
        "sql 'SELECT definition, revision, done FROM v_rollouts'", "sql --explain 'SELECT * FROM v_drift'",
    )),
    "export": About("log", "Events in full, one JSON object a line", (
        "export webshop/blog --out blog.jsonl", "export --since 1h",
    )),
    "verify": About("verify", "Is the log what was written; exit 2 when not", (
        "verify", "verify --checkpoint head.json --checkpoint-key public.pem",
    )),
    "checkpoint": About("verify", "Sign the head of the log", ("checkpoint --key private.pem --out head.json",)),
    "rollback": About("rollback", "Put back a definition, an instance, or all of it", (
        "rollback webshop --to 2 --reason 'checkout is down' --dry-run",
        "rollback webshop/blog --to '1h ago' --hold --reason 'wait for the fix'",
        "rollback webshop --to webshop@2 --with-instances --reason 'as it was'",
    )),
    "holds": About("rollback", "What is held at an old state", ("holds",)),
    "release": About("rollback", "End a hold", ("release webshop/blog --reason 'the fix is merged'",)),
    "pin": About("pin", "Keep instances on a revision", (
        "pin webshop/blog --to 2 --reason 'its migration is not done'",
        "pin webshop -l tier=gold --to 2 --reason 'gold moves last'",
    )),
    "unpin": About("pin", "Let them follow the active revision again", (
        "unpin webshop/blog --reason 'migrated'", "unpin webshop -l tier=gold --reason 'their turn'",
    )),
    "pins": About("pin", "What is pinned, by whom and why", ("pins -o json",)),
    "redact": About("redact", "Take a value out of every event", (
        "redact configmap/app data.TOKEN --reason 'pasted by mistake'",
    )),
    "report": About("report", "A definition's history as one HTML file", ("report webshop --since 30d -o webshop.html",)),
}  # fmt: skip
"""Only the module of the command that is asked for is loaded."""


class _Commands(TyperGroup):
    """A question for a cluster is read here like any other, and then asked there as it was typed."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        about = COMMANDS[cmd_name]
        program = typer.Typer(add_completion=False, rich_markup_mode=None)
        # \\b: these lines are not wrapped into each other
        examples = "\n".join(("\b", "Examples:", *(f"  kro-history {one}" for one in about.examples)))
        function = getattr(import_module(f"kro_es.cli.history_{about.module}"), cmd_name)
        program.command(cmd_name, short_help=about.text, epilog=examples)(function)
        return get_command(program)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Without loading any of them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, about.text) for name, about in COMMANDS.items()])

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            hint = meant(args[0], COMMANDS) or "; kro-history --help lists them"
            raise UserError(f"there is no command {args[0]!r}{hint}")
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
    version: Annotated[  # noqa: ARG001 - its callback answers
        bool, typer.Option("--version", is_eager=True, callback=typed.version, help="print the version and exit")
    ] = False,
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
        told = typed.complaint(error, "kro-history")
        return 0 if told is None else _said(told, 1)
    except Interrupted as error:
        return _said(str(error), 130)
    except KroEsError as error:
        return _said(str(error), 1)
    except KeyboardInterrupt:
        return 130
    except ReaderGone:
        return 0
    except Exception as error:
        said = in_words(error)
        if said is None:
            raise
        return _said(said, 1)
    return code if isinstance(code, int) else 0


def _said(text: str, code: int) -> int:
    print(coloured(f"kro-history: {text}", RED, sys.stderr), file=sys.stderr)  # noqa: T201 the program's one complaint
    return code


def main() -> None:
    """Entry point."""
    sys.exit(run())


if __name__ == "__main__":
    main()
