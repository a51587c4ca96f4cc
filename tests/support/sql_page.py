"""docs/sql.md: the tables of its views, and the answers below the queries of its cookbook; run it to bring them up to date."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path

from kro_es.history.read_only import select
from kro_es.store.views import columns_markdown
from tests.support.incident import write_incident

PAGE = Path(__file__).parents[2] / "docs" / "sql.md"
_QUERY = re.compile(r"### (?P<title>.+)\n\n```sql\n(?P<sql>(?s:.+?))\n```\n(?P<answer>(?:\n(?:\|.*\n)+)?)")
_VIEWS = re.compile(r"(<!-- views -->\n).*(<!-- /views -->)", re.DOTALL)


def queries(page: str) -> dict[str, str]:
    """SQL by the question it answers."""
    return {found["title"]: found["sql"] for found in _QUERY.finditer(page)}


def answers(page: str) -> dict[str, str]:
    """The table that stands below each query."""
    return {found["title"]: found["answer"].strip() for found in _QUERY.finditer(page)}


def answered(database: str, sql: str) -> str:
    """The answer as a table of Markdown."""
    rows = select(database, sql).rows
    names = list(rows[0]) if rows else []
    lines = [names, ["---"] * len(names), *([_cell(value) for value in row.values()] for row in rows)]
    return "\n".join(_line(line) for line in lines)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float | Decimal):
        return f"{value:.3f}".rstrip("0").rstrip(".")
    return str(value).replace("|", "\\|")


def written(page: str, ask: Callable[[str], str]) -> str:
    """The page with everything that is computed computed anew."""
    page = _VIEWS.sub(lambda found: f"{found[1]}\n{columns_markdown()}\n{found[2]}", page)
    return _QUERY.sub(
        lambda found: f"### {found['title']}\n\n```sql\n{found['sql']}\n```\n\n{ask(found['sql'])}\n", page
    )


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        database = write_incident(f"sqlite:///{folder}/log.db")
        PAGE.write_text(written(PAGE.read_text(), lambda sql: answered(database, sql)))


if __name__ == "__main__":
    main()
