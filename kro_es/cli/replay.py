"""``kro-es replay``: are the decisions in a log what this program would decide again?"""

from __future__ import annotations

import enum
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kro_es.errors import UserError

if TYPE_CHECKING:
    from kro_es.api.objects import Gvk
    from kro_es.history.replay import Report
    from kro_es.schema.openapi import KindSchema

_SHOWN = 20
"""Lines of each sort in the report for people; the JSON has all."""


class Form(enum.StrEnum):
    TEXT = "text"
    JSON = "json"


def replay(
    database: Annotated[str, typer.Option(envvar="KRO_ES_DATABASE", help="sqlite:///path or postgresql://...")],
    redaction_key_file: Annotated[
        str | None,
        typer.Option(envvar="KRO_ES_REDACTION_KEY_FILE", help="Key of the log's digests. [default: <database>.key]"),
    ] = None,
    crds: Annotated[list[str] | None, typer.Option("--crds", help="File or folder with CRDs of child kinds.")] = None,
    kubernetes_version: Annotated[
        str | None, typer.Option("--kubernetes-version", help="Which of the shipped schemas of built-in kinds.")
    ] = None,
    output: Annotated[Form, typer.Option("-o", "--output", help="text or json")] = Form.TEXT,
) -> None:
    """Make every recorded decision again, from the log alone; exit 1 when one differs from the record."""
    import orjson

    from kro_es.history.replay import replay as replayed
    from kro_es.history.source import open_history

    log = open_history(database, time.time_ns() // 1000).log
    report = replayed(log, _kinds(crds or [], kubernetes_version), _key(database, redaction_key_file))
    if output is Form.JSON:
        typer.echo(orjson.dumps({"equal": report.equal, **asdict(report)}, option=orjson.OPT_INDENT_2).decode())
    else:
        typer.echo(as_text(report))
    if report.differences:
        raise typer.Exit(1)


def as_text(report: Report) -> str:
    """First what differs, then what is not known, then the sum."""
    lines: list[str] = []
    for found in report.differences[:_SHOWN]:
        lines.append(f"{found.position}  {found.instance}: {found.type} comes out otherwise")
        for name, (recorded, now) in found.fields.items():
            lines += [f"      {name or 'event'}", f"        recorded    {recorded}", f"        recomputed  {now}"]
    lines += _more(len(report.differences))
    lines += [f"{position}  {name}: not comparable: {why}" for position, name, why in report.unknown[:_SHOWN]]
    lines += _more(len(report.unknown))
    lines += [f"note: {text}" for text in report.notes]
    for sort, count in report.sorts.items():
        lines.append(f"{sort + ':':<13} {_counts(count.equal, count.different, count.unknown)}")
    return "\n".join([*lines, _counts(report.equal, len(report.differences), len(report.unknown))])


def _counts(equal: int, different: int, unknown: int) -> str:
    return f"{equal} equal, {different} different, {unknown} not comparable"


def _more(count: int) -> list[str]:
    return [f"... and {count - _SHOWN} more"] if count > _SHOWN else []


def _kinds(crds: list[str], kubernetes_version: str | None) -> dict[Gvk, KindSchema]:
    from kro_es.authoring.crds import crd_kinds
    from kro_es.authoring.kinds import shipped

    return {**shipped(kubernetes_version).kinds, **crd_kinds(crds)}


def _key(database: str, file: str | None) -> bytes:
    """Raises UserError when it is not there: without it no digest of a Secret can be made again."""
    if file is None and database.startswith("sqlite:///"):
        file = database.removeprefix("sqlite:///") + ".key"
    if file is None or not Path(file).is_file():
        where = f"there is no redaction key at {file}" if file else "the redaction key is not named"
        raise UserError(f"{where}: --redaction-key-file takes the file the controller used")
    return Path(file).read_text().strip().encode()
