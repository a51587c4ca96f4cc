"""``kro-history redact``: takes a value that slipped through out of the log."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from kro_es.cli.history_state import Namespace, State, clock, confirm, state
from kro_es.errors import UserError
from kro_es.events.types import Actor, LogRedacted, ObjectObserved, object_stream

if TYPE_CHECKING:
    from kro_es.store.redact import RedactPlan


def redact(  # noqa: PLR0913 - one parameter per flag
    context: typer.Context,
    reason: Annotated[str, typer.Option(help="why; kept in the log")],
    target: Annotated[str, typer.Argument(help="KIND/NAME of the object that held it")] = "",
    path: Annotated[str, typer.Argument(help="the field, e.g. data.TOKEN or data.*_TOKEN")] = "",
    namespace: Namespace = None,
    stdin: Annotated[
        bool, typer.Option("--stdin", help="the value itself, one a line, from the standard input")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only which events hold it")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
) -> None:
    """Take every value a field ever had out of every event. The events' places stay provable, their content does not."""
    from kro_es.cli.progress import progress
    from kro_es.projections.registry import PROJECTIONS
    from kro_es.store import redact as work
    from kro_es.store.live_rebuild import live_rebuild
    from kro_es.store.vacuum import not_reached, vacuum

    asked = state(context)
    if not dry_run:
        _finished(asked)
    if stdin == bool(target):
        raise UserError("say where the value was (KIND/NAME and a field), or give it with --stdin")
    texts = sys.stdin.read().splitlines() if stdin else _values(asked, target, path, namespace)
    engine = asked.history.engine
    with progress("events looked at") as told:
        found = work.plan(engine, texts, told)
    _print(asked, found)
    if dry_run:
        return
    if not yes:
        asked.screen.flush()
        confirm("Redact them? It cannot be undone.")
    actor = Actor(getpass.getuser(), "cli")
    event = work.redact(engine, found, reason=reason, actor=actor, now=clock())
    with progress("events folded") as told:
        live_rebuild(engine, PROJECTIONS, actor=actor, now=clock(), told=told)
    vacuum(engine)
    asked.screen.line(f"redacted: {len(found.positions)} event(s), by event {event.position}")
    asked.screen.notes([f"not reached: {place}" for place in not_reached(engine)])


def _finished(asked: State) -> None:
    """A redaction that was interrupted has taken the value out of the events, and not yet of what was folded from them."""
    from kro_es.projections.registry import PROJECTIONS
    from kro_es.store.live_rebuild import live_rebuild, owed
    from kro_es.store.vacuum import vacuum

    left = owed(asked.history.engine)
    if left is None or not isinstance(left.body, LogRedacted):
        return
    live_rebuild(asked.history.engine, PROJECTIONS, actor=Actor(getpass.getuser(), "cli"), now=clock())
    vacuum(asked.history.engine)
    asked.screen.line(f"finished: the redaction of event {left.position}, which had been interrupted")


def _print(asked: State, found: RedactPlan) -> None:
    listed = ", ".join(map(str, found.positions[:20])) + (" …" if len(found.positions) > 20 else "")
    asked.screen.line(f"{len(found.positions)} event(s) hold it{': ' + listed if listed else ''}")


def _values(asked: State, target: str, path: str, namespace: str | None) -> Iterable[str]:
    """Every text the field ever had."""
    from kro_es.api.sensitive import parse, reached

    if not path:
        raise UserError(f"say which field of {target}, e.g. data.TOKEN")
    steps = parse(f"*:{path}")[0].path
    found = asked.target(target, namespace)
    bodies = [event.body for event in asked.history.log.read_stream(object_stream(found.ref.key))]
    seen = [value for body in bodies if isinstance(body, ObjectObserved) for value in reached(body.object, steps)]
    texts = {value for value in seen if isinstance(value, str)}
    if not texts:
        raise UserError(f"{found.name} never had a text at {path} that is still in the log")
    return texts
