"""``kro-history rollback``: the plan, the question, the write, and the way to the end."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from kro_es.cli.history_state import DIFFERENT, Namespace, Output, State, state
from kro_es.cli.output import BOLD, GREEN, RED, YELLOW, Format, coloured
from kro_es.errors import UserError
from kro_es.history.risks import RISKS, ClusterUnknown
from kro_es.history.targets import Target

if TYPE_CHECKING:
    from kro_es.history.plan import Plan
    from kro_es.history.rollback import Where

_PASSIVE = {"created": "created", "changed": "updated", "deleted": "deleted"}


def rollback(  # noqa: PLR0913 - one parameter per flag
    context: typer.Context,
    target: Annotated[str, typer.Argument(help="a definition, or KIND/NAME of one instance")],
    to: Annotated[str, typer.Option(help="definition: a revision; instance: a position, a time, or RGD@N")],
    reason: Annotated[str, typer.Option(help="why; kept in the log")],
    namespace: Namespace = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only the plan; exit 2 when it changes something")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
    accept: Annotated[list[str] | None, typer.Option(help="a risk the plan names, e.g. breaking-change")] = None,
    wait: Annotated[bool, typer.Option(help="watch it to the end")] = True,
    seconds: Annotated[float, typer.Option("--timeout", help="seconds to watch at most")] = 300.0,
    kubeconfig: Annotated[str | None, typer.Option(envvar="KUBECONFIG")] = None,
    kube_context: Annotated[str | None, typer.Option("--context")] = None,
    output: Output = Format.TABLE,
) -> None:
    """Put back the content of an old revision, or one instance's old spec, after showing what that does."""
    # the compiler and the cluster's client take longer to load than any question to the log takes to answer
    from kro_es.history import rollback as work

    asked = state(context)
    found = asked.target(target, namespace)
    if not (found.is_definition or found.is_instance):
        raise UserError(f"{found.name} is neither a definition nor an instance: roll back what it belongs to")
    accepted = set(accept or ())
    if unknown := accepted - RISKS.keys():
        raise UserError(f"no risk is called {', '.join(sorted(unknown))}; there are {', '.join(RISKS)}")
    where = work.Where(kubeconfig, kube_context)
    made = _planned(asked, found, to, where, dry_run=dry_run)
    if output.for_people:
        _print(asked, made)
    else:
        asked.screen.document(made.as_json(), output)
    asked.screen.flush()
    if not made.changes:
        return
    if dry_run:
        raise typer.Exit(DIFFERENT)
    if refused := made.refused(accepted):
        names = " ".join(f"--accept {risk.name}" for risk in refused)
        raise UserError(f"refused because of what the plan names; if that is meant: {names}")
    if not yes:
        typer.confirm("Write it?", abort=True)
    breaking = any(risk.name == "breaking-change" for risk in made.risks)
    command = asyncio.run(work.carry_out(asked.history, made, reason, where, breaking=breaking))
    _say(f"written, command {command}")
    if wait:
        _watch(asked, made, command, seconds)


def _planned(asked: State, target: Target, to: str, where: Where, *, dry_run: bool) -> Plan:
    """With a plan alone a cluster that does not answer costs the forecast of the objects only."""
    from kro_es.history import rollback as work

    try:
        return asyncio.run(work.planned(asked.history, target, to, where))
    except ClusterUnknown:
        if not dry_run:
            raise
        return work.made(asked.history, target, to, None)


def _print(asked: State, made: Plan) -> None:
    screen = asked.screen
    what = f"revision {made.base} → content of revision {made.to}"
    if made.target.is_instance:
        what = f"its spec as of position {made.to}"
    screen.line(screen.styled(f"{made.target.name}: {what}", BOLD))
    if not made.changes:
        screen.line("no difference")
    screen.changes(made.changes)
    _print_objects(asked, made)
    if made.forecasts:
        counts = made.counts()
        screen.line(f"{len(made.forecasts)} instance(s): " + ", ".join(f"{n} {name}" for name, n in counts.items()))
    for risk in made.risks:
        screen.line(screen.styled(f"risk {risk.name}: {RISKS[risk.name]}", RED))
        for text in risk.details:
            screen.line(f"  {text}")
    screen.notes(made.notes)


def _print_objects(asked: State, made: Plan) -> None:
    screen = asked.screen
    for one in made.forecasts:
        if one.differences or one.unknown:
            screen.line(screen.styled(one.instance, BOLD))
        for difference in one.differences:
            screen.line(f"  {difference.object} is {_PASSIVE[difference.change]}")
            for field in difference.fields:
                screen.line(f"    {field['path']}: {screen.cell(field['old'])} → {screen.cell(field['new'])}")
        for text in one.unknown:
            screen.line(screen.styled(f"  not foreseen: {text}", YELLOW))


def _watch(asked: State, made: Plan, command: int, seconds: float) -> None:
    """Progress on stderr; the exit code is the verdict. Ctrl-C ends the watching, not the rollback."""
    from kro_es.history import rollback as work

    last = None
    try:
        for last in work.watched(asked.history, made, command, seconds):
            _say(str(last))
    except KeyboardInterrupt:
        _say("not watched any more; the controller goes on with it")
        raise
    if last is None or not last.verdict:
        raise UserError(f"not at its end after {seconds:g} s; the controller goes on: kro-history rollouts")
    if last.verdict == "done":
        _say(coloured("done: everything is as it was", GREEN, sys.stderr))
        return
    for text in last.details:
        _say(coloured(text, RED, sys.stderr))
    back = made.base if made.target.is_definition else f"{made.base} (a position)"
    _say(f"failed; the way back: kro-history rollback ... --to {back}")
    raise typer.Exit(DIFFERENT)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201 progress is no part of the answer
