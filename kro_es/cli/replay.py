"""``kro-es replay``: are the decisions in a log what this program would decide again?"""

from __future__ import annotations

import enum
import secrets
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kro_es.errors import UserError

if TYPE_CHECKING:
    from kro_es.api.objects import Gvk
    from kro_es.history.incident import Incident
    from kro_es.history.replay_report import Report
    from kro_es.history.source import History
    from kro_es.schema.openapi import KindSchema

_SHOWN = 20
"""Lines of each sort in the report for people; the JSON has all."""
_NAMED = 5
"""Positions named of one instance."""


class Form(enum.StrEnum):
    TEXT = "text"
    JSON = "json"


def replay(  # noqa: PLR0913 - one parameter per flag
    log: Annotated[
        str | None, typer.Argument(help="a file of --out, or a database as --database takes it", show_default=False)
    ] = None,
    database: Annotated[
        str | None, typer.Option(envvar="KRO_ES_DATABASE", help="sqlite:///path or postgresql://...")
    ] = None,
    incident: Annotated[str | None, typer.Option(help="KIND/NAME: only what was decided about this instance")] = None,
    namespace: Annotated[str | None, typer.Option("-n", "--namespace", help="of --incident")] = None,
    start: Annotated[str, typer.Option("--from", help="of --incident: a position, a time, or an age")] = "1",
    end: Annotated[str, typer.Option("--to", help="of --incident: a position, a time, or an age")] = "now",
    out: Annotated[
        Path | None, typer.Option(help="of --incident: a new file with all that is needed to replay it elsewhere")
    ] = None,
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
    """Make every decision about an instance again, from the log alone; exit 1 when one differs from the record.

    For example: kro-es replay --incident webshop/blog --from '2h ago' --out blog.zst, and elsewhere: kro-es replay blog.zst
    """
    import orjson

    from kro_es.history import incident as incidents
    from kro_es.history.replay import replay as replayed
    from kro_es.history.replay import replay_incident
    from kro_es.history.source import open_history

    if out is not None and incident is None:
        raise UserError("--out is of an incident: say which with --incident KIND/NAME; a whole log: kro-es db export")
    kinds = _kinds(crds or [], kubernetes_version)
    if log is not None and Path(log).is_file() and incidents.is_incident(Path(log)):
        key = _key("", redaction_key_file) if redaction_key_file else secrets.token_bytes(32)
        report = replay_incident(incidents.read(Path(log)), kinds, key)
    else:
        where = log or database
        if where is None:
            raise UserError("say which log: a database or a file of an incident, --database or KRO_ES_DATABASE")
        history = open_history(where, time.time_ns() // 1000)
        if incident is None:
            report = replayed(history.log, kinds, _key(where, redaction_key_file))
        else:
            found = _gathered(history, incident, namespace, (start, end))
            if out is not None:
                incidents.write(found, out)
                typer.echo(f"{out}: {len(found.events)} events about {found.instance}", err=True)
            report = replay_incident(found, kinds, _key(where, redaction_key_file))
    if output is Form.JSON:
        typer.echo(orjson.dumps(asdict(report), option=orjson.OPT_INDENT_2).decode())
    else:
        typer.echo(as_text(report))
    if report.differences:
        raise typer.Exit(1)


def _gathered(history: History, name: str, namespace: str | None, span: tuple[str, str]) -> Incident:
    from kro_es.history import incident, moments, targets

    start, end = span
    first = int(start) if start.isdigit() else history.log.position_at(moments.time_of(history, start)) + 1
    return incident.gather(history, targets.find(history, name, namespace), first, moments.position_of(history, end))


def as_text(report: Report) -> str:
    """First what differs, then what is not known, then the sum."""
    lines: list[str] = []
    for found in report.differences[:_SHOWN]:
        lines.append(f"{found.position}  {found.instance}: {found.type} comes out otherwise")
        for name, (recorded, now) in found.fields.items():
            lines += [f"      {name or 'event'}", f"        recorded    {recorded}", f"        recomputed  {now}"]
    lines += _more(len(report.differences))
    for why, places in _by_reason(report.unknown):
        lines.append(f"{len(places)} not comparable: {why}: {_listed(places)}")
    lines += [f"note: {text}" for text in report.notes]
    for sort, count in report.sorts.items():
        lines.append(f"{sort + ':':<13} {_counts(count.equal, count.different, count.unknown)}")
    return "\n".join([*lines, _counts(report.equal, len(report.differences), len(report.unknown))])


def _counts(equal: int, different: int, unknown: int) -> str:
    return f"{equal} equal, {different} different, {unknown} not comparable"


def _by_reason(unknown: Iterable[tuple[int, str, str]]) -> list[tuple[str, dict[int, str]]]:
    """Why, and the positions with whose decision it was: one log has one reason hundreds of times."""
    found: dict[str, dict[int, str]] = {}
    for position, name, why in unknown:
        found.setdefault(why, {})[position] = name
    return list(found.items())


def _listed(places: Mapping[int, str]) -> str:
    """``webshop prod/blog (87, 90), …``"""
    by_name: dict[str, list[str]] = {}
    for position, name in places.items():
        by_name.setdefault(name, []).append(str(position))
    texts = [f"{name} ({', '.join(found[:_NAMED])}{', …' * (len(found) > _NAMED)})" for name, found in by_name.items()]
    return ", ".join(texts[:_SHOWN]) + (", …" if len(texts) > _SHOWN else "")


def _more(count: int) -> list[str]:
    return [f"... and {count - _SHOWN} more"] if count > _SHOWN else []


def _kinds(crds: list[str], kubernetes_version: str | None) -> dict[Gvk, KindSchema]:
    from kro_es.authoring.crds import crd_kinds
    from kro_es.authoring.kinds import shipped

    return {**shipped(kubernetes_version).kinds, **crd_kinds(crds)}


def _key(database: str, file: str | None) -> bytes:
    """Raises UserError when it is not there: without it no digest of a Secret can be made again."""
    from kro_es.history.source import file_of

    path = file_of(database)
    if file is None and path is not None:
        file = path + ".key"
    if file is None or not Path(file).is_file():
        where = f"there is no redaction key at {file}" if file else "the redaction key is not named"
        raise UserError(f"{where}: --redaction-key-file takes the file the controller used")
    return Path(file).read_text().strip().encode()
