"""Answers as a table, JSON, YAML or CSV; colours and a pager only where a person looks."""

from __future__ import annotations

import enum
import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import orjson

from kro_es.api.objects import JsonObject, JsonValue
from kro_es.history.times import lasted

if TYPE_CHECKING:
    from kro_es.history.source import Answer, Table

BOLD, DIM, RED, GREEN, YELLOW = "1", "2", "31", "32", "33"
_ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_STYLE_OR_CONTROL = re.compile(rf"(\x1b\[\d{{1,2}}m)|{_CONTROL.pattern}")
_NARROWEST = 16
"""A column that is folded keeps at least so many characters."""


class Format(enum.StrEnum):
    TABLE = "table"
    WIDE = "wide"
    JSON = "json"
    YAML = "yaml"
    JSONL = "jsonl"
    CSV = "csv"

    @property
    def for_people(self) -> bool:
        return self in (Format.TABLE, Format.WIDE)


class ReaderGone(Exception):
    """Whoever read the answer has seen enough."""


@contextmanager
def piped() -> Iterator[None]:
    """Around writes to the standard output; nothing is written any more when its reader is gone."""
    try:
        yield
    except BrokenPipeError:
        # what is left in the buffer must not complain when the program ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise ReaderGone from None


@dataclass
class Screen:
    """Where answers go. Text is gathered and shown at the end, through a pager when it is long and a person looks."""

    now: int
    utc: bool = False
    relative: bool = False
    pager: bool = True
    _lines: list[str] = field(default_factory=list)
    _notes: list[str] = field(default_factory=list)

    def answer(self, answer: Answer, form: Format) -> None:
        """Rows as asked for; what must be known about them goes to stderr, so that it never mixes with data."""
        match form:
            case Format.JSON:
                self.line(indented(answer.rows))
            case Format.YAML:
                self.line(_yaml(answer.rows))
            case Format.JSONL:
                self._lines += [orjson.dumps(row, default=str).decode() for row in answer.rows]
            case Format.CSV:
                self._csv(answer.rows, answer.columns)
            case _:
                self._table(answer, wide=form is Format.WIDE)
        self.notes(answer.notes)

    def document(self, value: JsonValue, form: Format) -> None:
        """One JSON value; for people as YAML, as CSV one row a leaf."""
        if form is Format.CSV:
            self._csv([{"path": path, "value": leaf} for path, leaf in _leaves(value)], ("path", "value"))
            return
        if form in (Format.JSON, Format.JSONL):
            self.line(indented(value) if form is Format.JSON else _json(value))
        else:
            self.line(_yaml(value))

    def changes(self, changes: Iterable[JsonObject]) -> None:
        """One line a field: red what goes, green what comes."""
        for change in changes:
            if change["change"] != "added":
                self.line(self.styled(f"- {change['path']}: {_json(change['old'])}", RED))
            if change["change"] != "removed":
                self.line(self.styled(f"+ {change['path']}: {_json(change['new'])}", GREEN))

    def data(self, value: JsonObject) -> None:
        """One line of JSON at once: there may be more than is kept in memory."""
        with piped():
            sys.stdout.buffer.write(orjson.dumps(value) + b"\n")

    def line(self, text: str = "") -> None:
        """A text of ours, with words of objects in it, which may style nothing but themselves."""
        self._lines.append(_tamed(text))

    def branch(self, indent: str, text: str, quiet: str) -> None:
        """A line of a tree; on a narrow terminal it goes on below its own beginning. ``quiet`` ends it, dimmed."""
        width = shutil.get_terminal_size().columns
        if not sys.stdout.isatty() or len(indent) + len(text) + len(quiet) + 2 <= width:
            self.line(f"{indent}{text}" + (f"  {self.styled(quiet, DIM)}" if quiet else ""))
            return
        room = max(_NARROWEST, width - len(indent))
        for index, part in enumerate(textwrap.wrap(f"{text}  {quiet}".rstrip(), room)):
            self.line((indent if index == 0 else " " * min(len(indent), width - room)) + part)

    def notes(self, notes: Sequence[str]) -> None:
        self._notes += [_ISO.sub(lambda found: self.time(found[0]), note) for note in notes]

    def styled(self, text: str, style: str) -> str:
        return coloured(text, style, sys.stdout)

    def flush(self) -> None:
        """Writes what was gathered. Raises ReaderGone when nobody reads on."""
        text, self._lines = "\n".join(self._lines), []
        notes, self._notes = self._notes, []
        if text:
            self._write(text)
        for note in notes:
            print(coloured(f"note: {_tamed(note)}", YELLOW, sys.stderr), file=sys.stderr)  # noqa: T201 the one place for it

    def _write(self, text: str) -> None:
        long = text.count("\n") + 1 >= shutil.get_terminal_size().lines
        if self.pager and sys.stdout.isatty() and long and _paged(text):
            return
        with piped():
            sys.stdout.write(text + "\n")
            sys.stdout.flush()

    def time(self, text: str) -> str:
        """An RFC 3339 time as a person reads it: here, in UTC, or how long ago; what is none stays as it is."""
        try:
            moment = datetime.fromisoformat(text)
            if self.relative:
                seconds = self.now / 1_000_000 - moment.timestamp()
                return f"{lasted(seconds)} ago" if seconds >= 0 else f"in {lasted(-seconds)}"
            if self.utc:
                return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")
        except (ValueError, OverflowError):
            # the word of an object may look like one
            return text

    def cell(self, value: object) -> str:
        if value is None or value == "":
            return ""
        text = value if isinstance(value, str) else _json(value)
        if _ISO.fullmatch(text):
            return self.time(text)
        # what an object holds must not move the cursor of the terminal it is shown on
        return _CONTROL.sub("�", text.replace("\n", " "))

    def _table(self, answer: Answer, *, wide: bool) -> None:
        rows = answer.rows
        names = list((answer.wide or (rows[0] if rows else ())) if wide else answer.columns)
        names = names or (list(rows[0]) if rows else [])
        if not rows:
            self.line(self.styled("nothing", DIM))
            return
        cells = [[self.cell(row.get(name)) for name in names] for row in rows]
        heads = [name.upper().replace("_", " ") for name in names]
        widths = [max(len(heads[i]), *(len(row[i]) for row in cells)) for i in range(len(names))]
        screen = shutil.get_terminal_size().columns
        if sys.stdout.isatty():
            widths = _fitted(widths, screen)
            if sum(widths) + 2 * (len(widths) - 1) > screen:
                self._stacked(heads, cells, screen)
                return
        self.line(self.styled(_row(heads, widths)[0], BOLD))
        for row in cells:
            self._lines += _row(row, widths)

    def _stacked(self, heads: Sequence[str], cells: Iterable[Sequence[str]], screen: int) -> None:
        """One line a value, where a row does not fit; what is empty is left out."""
        left = max(map(len, heads))
        for index, row in enumerate(cells):
            if index:
                self.line()
            for head, cell in zip(heads, row, strict=True):
                if cell:
                    first, *rest = _row([head, cell], [left, max(_NARROWEST, screen - left - 2)])
                    self._lines += [self.styled(first[:left], BOLD) + first[left:], *rest]

    def _csv(self, rows: Table, columns: Sequence[str]) -> None:
        import csv
        import io

        out = io.StringIO()
        names = list(rows[0]) if rows else list(columns)
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(names)
        for row in rows:
            values = (row[name] for name in names)
            writer.writerow([_json(one) if isinstance(one, dict | list | bool) else one for one in values])
        # for programs: exactly what is recorded
        self._lines.append(out.getvalue().rstrip("\n"))


def _tamed(text: str) -> str:
    """Without what would move the cursor of a terminal, or tell it what to do; styles and ends of lines stay."""
    return _STYLE_OR_CONTROL.sub(lambda found: found[1] or "�", text)


def _fitted(widths: list[int], screen: int) -> list[int]:
    """The widest columns give way until the row fits the screen."""
    found = list(widths)
    while sum(found) + 2 * (len(found) - 1) > screen:
        widest = max(range(len(found)), key=found.__getitem__)
        if found[widest] <= _NARROWEST:
            break
        found[widest] = max(_NARROWEST, found[widest] - 1)
    return found


def _row(cells: Sequence[str], widths: Sequence[int]) -> list[str]:
    folded = [textwrap.wrap(cell, width) or [""] for cell, width in zip(cells, widths, strict=True)]
    return [
        "  ".join(
            (lines[index] if index < len(lines) else "").ljust(width)
            for lines, width in zip(folded, widths, strict=True)
        ).rstrip()
        for index in range(max(map(len, folded)))
    ]


def _paged(text: str) -> bool:
    """Through ``$PAGER``; False where there is none."""
    command = shlex.split(os.environ.get("PAGER") or "less")
    if not command or shutil.which(command[0]) is None:
        return False
    subprocess.run(command, input=f"{text}\n".encode(), env={"LESS": "-FRX", **os.environ}, check=False)  # noqa: S603
    return True


def coloured(text: str, style: str, stream: object) -> str:
    """``NO_COLOR`` and anything but a terminal: plain."""
    on = stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"  # type: ignore[attr-defined]
    return f"\x1b[{style}m{text}\x1b[0m" if on else text


def _json(value: object) -> str:
    return orjson.dumps(value, default=str).decode()


def indented(value: object) -> str:
    """JSON as a person can read it."""
    return orjson.dumps(value, option=orjson.OPT_INDENT_2, default=str).decode()


def _leaves(value: JsonValue, path: str = "") -> Iterator[tuple[str, JsonValue]]:
    """Every value that holds no others, by its path: ``spec.containers[0].image``."""
    if isinstance(value, dict) and value:
        for name, item in value.items():
            step = name if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]*", name) else f"[{name}]"
            yield from _leaves(item, f"{path}.{step}" if path and not step.startswith("[") else path + step)
    elif isinstance(value, list) and value:
        for index, item in enumerate(value):
            yield from _leaves(item, f"{path}[{index}]")
    else:
        yield path, value


def _yaml(value: JsonValue) -> str:
    from kro_es.authoring.yaml_writer import write

    return write(orjson.loads(orjson.dumps(value, default=str))).rstrip()
