"""One question put to the controller's endpoint, answered in a process of its own: it can be ended, and harms nobody.

On the standard input a line ``{database, question: [...], whole}``. Unless the whole log is open to the caller, the answer
begins with ``{scopes: [[group, kind, namespace], ...]}``, and a second line ``{open: [...]}`` is waited for.
The rest is what the command said (:mod:`kro_es.cli.spoken`); ``{exit: code}`` ends it.
"""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, get_args, get_type_hints

import orjson
import typer

from kro_es.api import metadata
from kro_es.cli import history_changes, history_doctor, history_log, history_pin, history_rollback, history_verify
from kro_es.cli.history_state import State
from kro_es.cli.spoken import SpokenScreen
from kro_es.errors import KroEsError, UserError
from kro_es.history.narrowed import NarrowedHistory, scopes
from kro_es.history.source import History, open_history
from kro_es.store.narrowed import Scope

_COMMANDS = (
    history_log.log, history_log.show, history_changes.revisions, history_changes.rollouts, history_changes.diff,
    history_changes.blame, history_changes.why, history_log.instance, history_changes.graph, history_doctor.doctor,
    history_changes.drift, history_changes.stats, history_log.gaps, history_rollback.holds, history_pin.pins,
)  # fmt: skip
_OF_THE_WHOLE = (history_log.sql, history_log.export, history_verify.verify)
QUESTIONS = tuple(command.__name__ for command in (*_COMMANDS, *_OF_THE_WHOLE))
_NICE, _MOST_MEMORY = 10, 512 << 20
_WHOLE_ONLY = tuple(command.__name__ for command in _OF_THE_WHOLE)
LEFT_OUT = "left out is what you may not get in the cluster"
"""Said to whom not everything is open, whatever they ask: how much there is would tell by a guess whether a namespace is."""
_app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": []},
    no_args_is_help=False,
)
for _command in (*_COMMANDS, *_OF_THE_WHOLE):
    _app.command()(_command)


def main() -> None:
    """Exit code 0 whatever was answered: what went wrong is in the answer."""
    _give_way()
    asked = _read()
    screen = SpokenScreen(time.time_ns() // 1000, _say)
    code, opened = 1, None
    try:
        opened = _opened(asked, screen)
        code = answer(opened, asked["question"], screen)
    except (KroEsError, typer.TyperException) as error:
        _say(orjson.dumps({"error": str(error)}) + b"\n")
    except MemoryError:
        _say(
            orjson.dumps({"error": f"the answer needs more than {_MOST_MEMORY >> 20} MiB: narrow the question"}) + b"\n"
        )
    finally:
        if opened is not None:
            opened.close()
    _say(orjson.dumps({"exit": code}) + b"\n")


def _give_way() -> None:
    """The controller has the processor first, and where memory runs out it is this process that ends."""
    os.nice(_NICE)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    resource.setrlimit(resource.RLIMIT_DATA, (_MOST_MEMORY, _MOST_MEMORY))


def answer(history: History, question: Sequence[str], screen: SpokenScreen) -> int:
    """Exit code of the command. Raises KroEsError and TyperException for a mistake in the question."""
    name = question[0] if question else ""
    if name not in QUESTIONS:
        raise UserError(
            f"{name!r} is no question that can be asked through the cluster; there are {', '.join(QUESTIONS)}"
        )
    if name in _WHOLE_ONLY and isinstance(history, NarrowedHistory):
        raise UserError(
            f"{name} needs the right to see the whole log: get of {metadata.WHOLE_LOG}.{metadata.HISTORY_GROUP}"
        )
    state = State(history.url, screen)
    state.history = history
    code = _program()(list(question), standalone_mode=False, obj=state)
    screen.flush()
    return code if isinstance(code, int) else 0


@cache
def _program() -> Any:
    """The commands without the options that name files: those would be files of the controller."""
    program: Any = typer.main.get_command(_app)
    for function in (*_COMMANDS, *_OF_THE_WHOLE):
        types = get_type_hints(function)
        command = program.commands[function.__name__]
        command.params = [one for one in command.params if not _names_a_file(types[one.name])]
    return program


def _names_a_file(annotation: Any) -> bool:
    return annotation is Path or any(_names_a_file(part) for part in get_args(annotation))


def _opened(asked: dict[str, Any], screen: SpokenScreen) -> History:
    # whoever asks is elsewhere: what they type is made a time with an offset before it is sent
    history = open_history(asked["database"], screen.now, utc=True)
    if asked["whole"]:
        return history
    _say(orjson.dumps({"scopes": [list(one) for one in scopes(history)]}) + b"\n")
    history.close()
    told = _read()
    screen.notes((LEFT_OUT,))
    return NarrowedHistory(history.url, history.now, tuple(Scope(*one) for one in told["open"]), utc=history.utc)


def _read() -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(sys.stdin.buffer.readline())
    return found


def _say(line: bytes) -> None:
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
