"""What every command of ``kro-history`` shares: where the log is, how answers are shown, the options they have in common."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Annotated

import typer

from kro_es.cli.output import Format, Screen
from kro_es.errors import UserError
from kro_es.history import moments, targets
from kro_es.history.source import Answer, History, open_history
from kro_es.history.targets import Target

if TYPE_CHECKING:
    from kro_es.cli.remote import Place

DIFFERENT = 2
"""Exit code of "yes, there is something": a difference, a plan with changes, an instance that is not ready."""
Output = Annotated[Format, typer.Option("-o", "--output", help="how the answer is written")]
Namespace = Annotated[str | None, typer.Option("-n", "--namespace", help="namespace of the object")]
Since = Annotated[str | None, typer.Option(help="a position, a time, or an age such as '2h ago'")]
Until = Annotated[str | None, typer.Option(help="a position, a time, or an age")]
Limit = Annotated[int, typer.Option("--limit", min=1, help="newest answers shown")]


def clock() -> int:
    """Microseconds since the epoch."""
    return time.time_ns() // 1000


@dataclass
class State:
    """Made by the program's callback; ``history`` is opened by the first command that asks for it."""

    database: str | None
    screen: Screen
    place: Place | None = None
    """The cluster whose controller is asked instead of a database."""

    @cached_property
    def history(self) -> History:
        return open_history(self.url, self.screen.now, utc=self.screen.utc)

    def close(self) -> None:
        """What was opened to answer is closed."""
        if "history" in self.__dict__:
            self.history.close()

    @property
    def url(self) -> str:
        """Raises UsageError when nobody said which database."""
        if not self.database:
            raise typer.BadParameter("say which with --database or KRO_ES_DATABASE", param_hint="--database")
        return self.database

    def target(self, text: str, namespace: str | None = None) -> Target:
        return targets.find(self.history, text, namespace)

    def show(self, answer: Answer, form: Format) -> None:
        self.screen.answer(answer, form)
        self.screen.notes(self.history.lag())

    def since(self, text: str | None) -> int:
        """Position after which events count; a time before the log began counts all of them."""
        if text is None:
            return 0
        if text.isdigit():
            return moments.position_of(self.history, text) - 1
        return self.history.log.position_at(moments.time_of(self.history, text) - 1)

    def until(self, text: str | None) -> int:
        return self.history.head if text is None else moments.position_of(self.history, text)


def state(context: typer.Context) -> State:
    found = context.obj
    assert isinstance(found, State)
    return found


def confirm(question: str) -> None:
    """Asked on stderr, so that the plan alone is on stdout. Raises UserError unless the answer is yes, Abort for Ctrl-C."""
    print(f"{question} [y/N]: ", end="", file=sys.stderr, flush=True)  # noqa: T201 no part of the answer
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise UserError("not confirmed, nothing was done; --yes confirms without a question")
