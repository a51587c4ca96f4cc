"""An answer on its way from the controller to a terminal: what a command said to its screen, one JSON object a line.

Only the terminal knows its width, colours, place on earth and reader, so rows travel as rows, and in texts a style is an
escape sequence and a time stands between two marks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import orjson

from kro_es.api.objects import JsonObject, JsonValue
from kro_es.cli.output import Format, Screen
from kro_es.errors import UserError
from kro_es.history.source import Answer

_TIME = re.compile("\x02([^\x02\x03]*)\x03")
_STYLE = re.compile("\x1b\\[(\\d+)m(.*?)\x1b\\[0m", re.DOTALL)


class SpokenScreen(Screen):
    """Hands everything on; ``say`` takes one line of JSON."""

    def __init__(self, now: int, say: Callable[[bytes], None]) -> None:
        super().__init__(now, utc=True, pager=False)
        self._say = say

    def answer(self, answer: Answer, form: Format) -> None:
        told = {"rows": answer.rows, "columns": answer.columns, "wide": answer.wide, "notes": answer.notes}
        self._tell({"answer": told, "form": form})

    def document(self, value: JsonValue, form: Format) -> None:
        self._tell({"document": value, "form": form})

    def data(self, value: JsonObject) -> None:
        self._tell({"data": value})

    def line(self, text: str = "") -> None:
        self._tell({"line": text})

    def notes(self, notes: Sequence[str]) -> None:
        if notes:
            self._tell({"notes": notes})

    def styled(self, text: str, style: str) -> str:
        return f"\x1b[{style}m{text}\x1b[0m"

    def time(self, text: str) -> str:
        return f"\x02{text}\x03"

    def flush(self) -> None:
        self._tell({"flush": True})

    def _tell(self, what: JsonObject) -> None:
        self._say(orjson.dumps(what, default=str) + b"\n")


def perform(line: bytes, screen: Screen) -> int | None:
    """Says one line to a screen; the exit code when it was the last one. Raises UserError when it tells a mistake."""
    try:
        told: dict[str, Any] = orjson.loads(line)
    except ValueError:
        raise UserError(f"the controller's answer cannot be read: {line[:200]!r}") from None
    match told:
        case {"answer": answer, "form": form}:
            notes = tuple(answer["notes"])
            screen.answer(Answer(answer["rows"], tuple(answer["columns"]), tuple(answer["wide"]), notes), Format(form))
        case {"document": value, "form": form}:
            screen.document(value, Format(form))
        case {"data": value}:
            screen.data(value)
        case {"line": text}:
            screen.line(_here(text, screen))
        case {"notes": notes}:
            screen.notes(notes)
        case {"flush": _}:
            screen.flush()
        case {"error": text}:
            raise UserError(text)
        case {"exit": code}:
            return int(code)
    return None


def _here(text: str, screen: Screen) -> str:
    timed = _TIME.sub(lambda found: screen.time(found[1]), text)
    return _STYLE.sub(lambda found: screen.styled(found[2], found[1]), timed)
