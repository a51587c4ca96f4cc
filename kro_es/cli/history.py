"""``kro-history``: what changed, who did it, why is it stuck, put it back.

Exit codes: 0 fine; 1 a mistake in the question, or no answer; 2 there is something: a difference, an instance that is
not ready, a plan that changes something, a log that is not whole; 130 interrupted.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from kro_es.cli import (
    history_changes,
    history_log,
    history_pin,
    history_redact,
    history_report,
    history_rollback,
    history_state,
    history_verify,
)
from kro_es.cli.history_state import State
from kro_es.cli.output import RED, ReaderGone, Screen, coloured
from kro_es.cli.preferences import preferences
from kro_es.errors import KroEsError

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None, help=__doc__)
_COMMANDS = (
    history_log.log, history_log.show, history_changes.revisions, history_changes.rollouts, history_changes.diff,
    history_changes.blame, history_changes.why, history_log.instance, history_changes.graph, history_changes.doctor,
    history_changes.drift, history_changes.stats, history_log.gaps, history_log.sql, history_log.export,
    history_verify.verify, history_verify.checkpoint, history_rollback.rollback, history_rollback.holds,
    history_rollback.release, history_pin.pin, history_pin.unpin, history_pin.pins, history_redact.redact, history_report.report,
)  # fmt: skip
for _command in _COMMANDS:
    app.command()(_command)


@app.callback()
def _options(
    context: typer.Context,
    database: Annotated[
        str | None, typer.Option(envvar="KRO_ES_DATABASE", help="sqlite:///path, a path, or postgresql://...")
    ] = None,
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
    context.obj = State(database or own.database, screen)
    context.call_on_close(screen.flush)
    context.call_on_close(context.obj.close)


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
