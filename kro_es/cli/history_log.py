"""Commands about single events: log, show, instance, export, gaps, sql, verify."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import orjson
import typer

from kro_es.cli.history_state import Limit, Namespace, Output, Since, State, Until, state
from kro_es.cli.output import Format
from kro_es.errors import UserError
from kro_es.history import gaps as watching
from kro_es.history import moments, targets, timeline
from kro_es.history.source import Answer
from kro_es.history.targets import RevisionName, Target
from kro_es.history.timeline import Filters
from kro_es.store.news import APPENDED, FOLDED, news

Optional = Annotated[str | None, typer.Argument(help="KIND/NAME, KIND.group/NAME, or a definition's name")]


def log(  # noqa: PLR0913 - one parameter per flag
    context: typer.Context,
    target: Optional = None,
    namespace: Namespace = None,
    kind: Annotated[str, typer.Option(help="kind of the object, in any case")] = "",
    name: Annotated[str, typer.Option(help="name of the object")] = "",
    definition: Annotated[str, typer.Option(help="only of this definition and the passes over its instances")] = "",
    actor: Annotated[str, typer.Option(help="who")] = "",
    event_type: Annotated[str, typer.Option("--type", help="type of event, e.g. revision.issued")] = "",
    path: Annotated[str, typer.Option(help="only events that changed this field; needs TARGET")] = "",
    since: Since = None,
    until: Until = None,
    limit: Limit = 50,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="go on as events come, until Ctrl-C")] = False,
    output: Output = Format.TABLE,
) -> None:
    """What happened, oldest first: of the whole log, or all that concerns one object, instance or definition."""
    asked = state(context)
    found = asked.target(target, namespace) if target else None
    filters = Filters(
        kind=targets.kind_of(asked.history, kind) if kind else "",
        namespace="" if found else namespace or "",
        name=name,
        definition_uid=targets.definition(asked.history, definition) if definition else "",
        actor=actor,
        type=event_type,
        since=asked.since(since),
        until=asked.until(until),
        limit=limit,
    )
    last = timeline.told_up_to(asked.history)
    answer = _of_field(asked, found, path, filters) if path else timeline.listed(asked.history, filters, found)
    if not answer.rows and not follow:
        targets.known(asked.history, {"namespace": namespace or "", "name": name}, actor)
    asked.show(answer, output)
    if follow:
        _follow(asked, filters, found, output, last)


def _of_field(asked: State, target: Target | None, path: str, filters: Filters) -> Answer:
    from kro_es.history.blame import field_changes
    from kro_es.history.changes import parsed, touches

    if target is None:
        raise UserError("--path needs a TARGET: fields have names within an object only")
    wanted = parsed(path)
    found = [
        one.event.position
        for one in field_changes(asked.history, target)
        if touches(one.path, wanted, one.old, one.new)
    ]
    return timeline.picked(asked.history, found, filters)


def _follow(asked: State, filters: Filters, target: Target | None, output: Format, position: int) -> None:
    """One line an event after a position; a table's columns are those of its first page."""
    asked.screen.pager = False
    asked.screen.flush()
    for _ in _news(asked):
        for until, rows in timeline.after(asked.history, position, filters, target):
            position = until
            for row in rows:
                if output.for_people:
                    asked.screen.line("  ".join(asked.screen.cell(row[name]) for name in timeline.COLUMNS))
                else:
                    asked.screen.answer(Answer([row]), Format.JSONL)
        asked.screen.flush()


def _news(asked: State) -> Iterator[None]:
    """Raises UserError when the server goes away."""
    try:
        yield from news(asked.history.asked, APPENDED, FOLDED)
    except ConnectionError as error:
        raise UserError(f"the database does not answer: {error}") from error


def show(
    context: typer.Context,
    what: Annotated[str, typer.Argument(help="position of an event, RGD@N, or KIND/NAME")],
    namespace: Namespace = None,
    at: Annotated[str | None, typer.Option(help="KIND/NAME as it was then")] = None,
    output: Output = Format.YAML,
) -> None:
    """One event, the spec of a revision, or an object as recorded, in full."""
    asked = state(context)
    if what.isdigit():
        asked.screen.document(timeline.shown(asked.history, int(what)), output)
    elif "@" in what:
        from kro_es.history.revisions import revision

        asked.screen.document(revision(asked.history, RevisionName.parse(what))["spec"], output)
    else:
        from kro_es.history.compare import object_at

        found = asked.target(what, namespace)
        position = moments.position_of(asked.history, at) if at else asked.history.head
        obj = object_at(asked.history, found.ref, position)
        if obj is None:
            raise UserError(f"{found.name} was not there at position {position}; name a time with --at")
        asked.screen.document(obj, output)


def instance(
    context: typer.Context,
    target: Annotated[str, typer.Argument(help="KIND/NAME of an instance")],
    namespace: Namespace = None,
    limit: Limit = 200,
    output: Output = Format.TABLE,
) -> None:
    """What was seen, decided and applied for one instance, each with what it was caused by."""
    asked = state(context)
    found = asked.target(target, namespace)
    answer = timeline.listed(asked.history, Filters(limit=limit), found)
    causes = timeline.rows_at(asked.history, {int(str(row["cause"])) for row in answer.rows if row["cause"]})
    for row in answer.rows:
        cause = causes.get(int(str(row["cause"])))
        row["because"] = f"{cause['position']} {cause['kind']} {cause['name']}: {cause['summary']}" if cause else ""
    columns = ("position", "time", "object", "summary", "actor", "because")
    asked.show(Answer(answer.rows, columns, answer.wide, answer.notes), output)


def export(
    context: typer.Context,
    target: Optional = None,
    namespace: Namespace = None,
    since: Since = None,
    until: Until = None,
    out: Annotated[Path | None, typer.Option("--out", help="a file instead of the standard output")] = None,
) -> None:
    """Events in full, one JSON object a line; secret values are as in the log: digests."""
    asked = state(context)
    found = asked.target(target, namespace) if target else None
    filters = Filters(since=asked.since(since), until=asked.until(until))
    events = timeline.exported(asked.history, filters, found)
    if out is None:
        for event in events:
            asked.screen.data(event)
        asked.screen.flush()
        return
    try:
        with out.open("wb") as stream:
            for event in events:
                stream.write(orjson.dumps(event) + b"\n")
    except OSError as error:
        raise UserError(f"{out} cannot be written: {error.strerror}") from error


def gaps(context: typer.Context, since: Since = None, until: Until = None, output: Output = Format.TABLE) -> None:
    """When nobody watched what."""
    asked = state(context)
    start = moments.time_of(asked.history, since) if since else 0
    end = moments.time_of(asked.history, until) if until else asked.history.now
    asked.show(watching.gaps(asked.history, start, end), output)


def sql(
    context: typer.Context,
    query: Annotated[str, typer.Argument(help="one SELECT; - reads it from the standard input")],
    explain: Annotated[bool, typer.Option("--explain", help="how the database would answer it")] = False,
    limit: Annotated[int, typer.Option(min=1, help="most rows")] = 10_000,
    seconds: Annotated[float, typer.Option("--timeout", min=0.1, help="seconds until it is given up")] = 60.0,
    output: Output = Format.TABLE,
) -> None:
    """SELECT over the views; the database itself refuses everything else."""
    from kro_es.history import read_only

    asked = state(context)
    _ = asked.history
    if query == "-":
        query = sys.stdin.read()
    if not query.strip():
        raise UserError("there is no query: write SELECT ... over the views of docs/sql.md, or - to read it from stdin")
    if explain:
        asked.show(read_only.explain(asked.url, query), output)
    else:
        asked.show(read_only.select(asked.url, query, limit=limit, seconds=seconds), output)
