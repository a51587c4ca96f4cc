"""What both programs answer to a command line they cannot carry out: in the words that have to be typed."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup

from kro_es.settings import VERSION

_WHOLE = 1000
"""Characters: a sentence about a command is wrapped, and never cut."""


class Group(TyperGroup):
    """Its help shows what each command does in full."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl([(name, found.get_short_help_str(_WHOLE)) for name, found in commands if found])


def version(asked: bool) -> None:
    """Of ``--version``: which version this is, and nothing else."""
    if asked:
        typer.echo(VERSION)
        raise typer.Exit


def complaint(error: typer.TyperException, program: str) -> str | None:
    """One line for stderr; None where the program was typed alone, which its help on stdout answers."""
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        typer.echo(str(error))
        return None
    told = _missing(getattr(error, "param", None)) if type(error).__name__ == "MissingParameter" else ""
    return f"{told or str(error).rstrip('.')}; {getattr(context, 'command_path', program)} --help tells more"


def _missing(param: Any) -> str:
    """The name of a parameter is not what one types."""
    if param is None:
        return ""
    if param.param_type_name != "option":
        return f"missing argument {str(param.human_readable_name).upper()}"
    variable = f" (or {param.envvar})" if param.envvar else ""
    return f"missing option {param.opts[-1]}{variable}"
