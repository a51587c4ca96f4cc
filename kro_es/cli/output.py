"""Answers as a table, JSON or YAML; colours only where a person looks."""

from __future__ import annotations

import enum
from collections.abc import Sequence

import orjson
from rich.console import Console
from rich.table import Table as RichTable

from kro_es.api.objects import JsonValue
from kro_es.authoring.yaml_writer import write


class Format(enum.StrEnum):
    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


def show(answer: JsonValue, form: Format, columns: Sequence[str] = ()) -> None:
    """``answer``: a list of rows, or any JSON; ``columns`` picks and orders those of the table."""
    console = Console(soft_wrap=form is not Format.TABLE)
    if form is Format.JSON:
        console.print(
            orjson.dumps(answer, option=orjson.OPT_INDENT_2, default=str).decode(), highlight=False, markup=False
        )
    elif form is Format.YAML or not isinstance(answer, list):
        console.print(write(orjson.loads(orjson.dumps(answer, default=str))).rstrip(), highlight=False, markup=False)
    else:
        console.print(_table(answer, columns))


def _table(rows: list[dict[str, object]], columns: Sequence[str]) -> RichTable:
    names = list(columns) or (list(rows[0]) if rows else [])
    found = RichTable(box=None, pad_edge=False, header_style="bold")
    for name in names:
        found.add_column(name.upper().replace("_", " "), overflow="fold")
    for row in rows:
        found.add_row(*(_cell(row.get(name)) for name in names))
    return found


def _cell(value: object) -> str:
    text = "" if value is None else value if isinstance(value, str) else orjson.dumps(value, default=str).decode()
    return text.replace("[", r"\[")


def show_changes(changes: Sequence[dict[str, object]]) -> None:
    """One line a field: red what goes, green what comes."""
    console = Console(soft_wrap=True)
    if not changes:
        console.print("no difference")
    for change in changes:
        if change["change"] != "added":
            console.print(f"- {change['path']}: {_plain(change['old'])}", style="red", highlight=False, markup=False)
        if change["change"] != "removed":
            console.print(f"+ {change['path']}: {_plain(change['new'])}", style="green", highlight=False, markup=False)


def _plain(value: object) -> str:
    return orjson.dumps(value, default=str).decode()
