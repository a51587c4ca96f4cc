"""Commands about change: revisions, rollouts, stats, diff, blame, why, drift, graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from kro_es.cli.history_state import DIFFERENT, Limit, Namespace, Output, Since, State, Until, state
from kro_es.cli.output import BOLD, DIM, Format
from kro_es.errors import UserError
from kro_es.history import moments
from kro_es.history.source import Answer
from kro_es.history.times import iso

if TYPE_CHECKING:
    from kro_es.history.compare import Comparison

Definition = Annotated[str | None, typer.Argument(help="name of a definition; all of them without")]
TargetText = Annotated[str, typer.Argument(help="KIND/NAME, KIND.group/NAME, or a definition's name")]


def revisions(
    context: typer.Context,
    definition: Annotated[str, typer.Argument(help="name of a definition")],
    output: Output = Format.TABLE,
) -> None:
    """Every revision of a definition, refused edits included."""
    from kro_es.history.revisions import revisions as answered

    asked = state(context)
    asked.show(answered(asked.history, definition), output)


def rollouts(
    context: typer.Context, definition: Definition = None, limit: Limit = 50, output: Output = Format.TABLE
) -> None:
    """Per revision: when it began and ended, how its instances fared, who made it and why."""
    from kro_es.history.revisions import rollouts as answered

    asked = state(context)
    asked.show(answered(asked.history, definition, limit), output)


def stats(
    context: typer.Context, definition: Definition = None, limit: Limit = 50, output: Output = Format.TABLE
) -> None:
    """Per revision: lead time, time to ready (p50, p99, seconds), failure rate, refused writes, drift."""
    from kro_es.history.revisions import stats as answered

    asked = state(context)
    asked.show(answered(asked.history, definition, limit), output)


def diff(  # noqa: PLR0913 - one parameter per flag
    context: typer.Context,
    old: Annotated[str, typer.Argument(help="RGD@N, KIND/NAME, a position or a time")],
    new: Annotated[str | None, typer.Argument(help="what to compare with; none: TARGET between --at and --to")] = None,
    namespace: Namespace = None,
    of: Annotated[str | None, typer.Option(help="KIND/NAME, when OLD and NEW are positions or times")] = None,
    at: Annotated[str | None, typer.Option(help="from this position or time")] = None,
    to: Annotated[str, typer.Option(help="to this position or time")] = "now",
    path: Annotated[str, typer.Option(help="only at or below this field")] = "",
    exit_code: Annotated[bool, typer.Option("--exit-code", help="exit 2 when there is a difference")] = False,
    output: Output = Format.TABLE,
) -> None:
    """Field by field: two revisions, two objects, or an object (an instance: with its children) at two moments."""
    asked = state(context)
    found = _compared(asked, (old, new), namespace, of, (at, to), path)
    rows = [row for one in found.differences for row in one.as_rows()]
    if not any(row["object"] for row in rows):
        rows = [{name: value for name, value in row.items() if name != "object"} for row in rows]
    if output.for_people:
        _print(asked, found)
    else:
        asked.show(Answer(rows), output)
    asked.screen.notes(found.notes)
    if exit_code and rows:
        asked.screen.flush()
        raise typer.Exit(DIFFERENT)


def _compared(
    asked: State,
    sides: tuple[str, str | None],
    namespace: str | None,
    of: str | None,
    moment: tuple[str | None, str],
    path: str,
) -> Comparison:
    from kro_es.history import compare

    old, new = sides
    history = asked.history
    if new is None:
        if "@" in old and "/" not in old:
            raise UserError(f"name the revision to compare with, e.g. diff {old} {_another(old)}")
        if moment[0] is None:
            raise UserError("say from when: diff KIND/NAME --at T1 [--to T2], or name two things to compare")
        start, end = (moments.position_of(history, str(text)) for text in moment)
        return compare.of_moments(history, asked.target(old, namespace), start, end, path)
    if "@" in old and "@" in new and "/" not in old:
        return compare.of_revisions(history, old, new)
    if moments.is_moment(old) and moments.is_moment(new):
        if of is None:
            raise UserError("say what to compare at these two moments: --of KIND/NAME")
        start, end = (moments.position_of(history, text) for text in (old, new))
        return compare.of_moments(history, asked.target(of, namespace), start, end, path)
    return compare.of_targets(history, asked.target(old, namespace), asked.target(new, namespace))


def _print(asked: State, found: Comparison) -> None:
    screen = asked.screen
    if not found.differences:
        screen.line("no difference")
    for one in found.differences:
        if one.object:
            screen.line(screen.styled(f"{one.object} ({one.change})", BOLD))
        screen.changes(one.fields)


def _another(revision: str) -> str:
    """The one before, to show how it is written; of the first the one after."""
    name, _, number = revision.rpartition("@")
    return f"{name}@{2 if number == '1' else max(1, int(number) - 1) if number.isdigit() else 1}"


def blame(
    context: typer.Context,
    target: TargetText,
    path: Annotated[str, typer.Argument(help="a field, e.g. spec.replicas; none: all of them")] = "",
    namespace: Namespace = None,
    output: Output = Format.TABLE,
) -> None:
    """Each field: its value, who set it last, when, by which event and revision, and whose edit was behind it."""
    from kro_es.history.blame import blame as blamed

    asked = state(context)
    asked.show(blamed(asked.history, asked.target(target, namespace), path), output)


def why(
    context: typer.Context,
    target: Annotated[str, typer.Argument(help="KIND/NAME, a definition, or the position of an event")],
    path: Annotated[str, typer.Argument(help="a field, e.g. spec.replicas")] = "",
    namespace: Namespace = None,
    output: Output = Format.TABLE,
) -> None:
    """The chain of causes, from the edit that began it to what came of it; who, and how that is known."""
    from kro_es.history import why as reasons

    asked = state(context)
    if target.isdigit():
        found = reasons.of_event(asked.history, int(target))
    else:
        found = reasons.of_target(asked.history, asked.target(target, namespace), path)
    if output.for_people:
        _tree(asked, found, wide=output is Format.WIDE)
    else:
        asked.screen.document(found.as_json(), output)
    asked.screen.notes(found.notes)


def _tree(asked: State, found: object, *, wide: bool) -> None:
    from kro_es.history.why import Reason

    assert isinstance(found, Reason)
    screen = asked.screen
    screen.line(screen.styled(found.about + (f" (revision {found.revision})" if found.revision else ""), BOLD))
    for depth, link, later in found.lines():
        branch = "   " * (depth - 1) + "└─ " if depth else ""
        who = f" by {link.actor} ({link.actor_source})" if link.actor else ""
        place = f"{link.object}" + (f" in {link.namespace}" if link.namespace and wide else "")
        when = later or screen.time(iso(link.time))
        screen.branch(branch, f"{link.position}  {place}: {link.summary}{who}", when)
        if link.note:
            screen.line(screen.styled("   " * depth + f"   ({link.note})", DIM))


def drift(  # noqa: PLR0913 - one parameter per flag
    context: typer.Context,
    target: Annotated[str | None, typer.Argument(help="KIND/NAME or a definition; everything without")] = None,
    namespace: Namespace = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 50,
    output: Output = Format.TABLE,
) -> None:
    """Fields of ours that somebody changed: who, from what to what, and when it was put back."""
    from kro_es.history.drift import drift as drifted

    asked = state(context)
    found = asked.target(target, namespace) if target else None
    asked.show(drifted(asked.history, found, asked.since(since), asked.until(until), limit), output)


def graph(
    context: typer.Context,
    target: TargetText,
    namespace: Namespace = None,
    at: Annotated[str | None, typer.Option(help="a position, a time, or an age")] = None,
    output: Output = Format.TABLE,
) -> None:
    """The nodes of an instance, in the order they are applied: state, since when, what they wait for."""
    from kro_es.history import nodes

    asked = state(context)
    position = moments.position_of(asked.history, at) if at else None
    asked.show(nodes.graph(asked.history, asked.target(target, namespace), position), output)
