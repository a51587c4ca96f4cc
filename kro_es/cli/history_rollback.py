"""``kro-history rollback``: the plan, the question, the write, and the way to the end."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from kro_es.cli.history_state import DIFFERENT, Namespace, Output, State, confirm, state
from kro_es.cli.output import BOLD, GREEN, RED, YELLOW, Format, ReaderGone, Screen, coloured
from kro_es.errors import UserError
from kro_es.history.risks import RISKS, ClusterUnknown

if TYPE_CHECKING:
    from kro_es.history.errand import Cluster
    from kro_es.history.plan import Plan
    from kro_es.history.rollback import Where, Written
    from kro_es.history.whole import Rollback

Made = TypeVar("Made", bound="Rollback | None")
_PASSIVE = {"created": "created", "changed": "updated", "deleted": "deleted"}


def rollback(  # noqa: PLR0913 - one parameter per flag
    context: typer.Context,
    target: Annotated[str, typer.Argument(help="a definition, or KIND/NAME of one instance")],
    to: Annotated[
        str,
        typer.Option(help="definition: a revision or a time; instance, --with-instances: a position, a time, or RGD@N"),
    ],
    reason: Annotated[str, typer.Option(help="why; kept in the log")],
    namespace: Namespace = None,
    with_instances: Annotated[
        bool, typer.Option("--with-instances", help="the definition and every instance of that time")
    ] = False,
    spec_only: Annotated[
        bool, typer.Option("--spec-only", help="an instance's spec, and not the revision it ran then")
    ] = False,
    hold: Annotated[
        bool, typer.Option("--hold", help="and keep it so, whatever GitOps or people write, until kro-history release")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only the plan; exit 2 when it changes something")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
    accept: Annotated[list[str] | None, typer.Option(help="a risk the plan names, e.g. breaking-change")] = None,
    wait: Annotated[bool, typer.Option(help="watch it to the end")] = True,
    seconds: Annotated[float, typer.Option("--timeout", help="seconds to watch at most")] = 300.0,
    kubeconfig: Annotated[str | None, typer.Option(envvar="KUBECONFIG")] = None,
    kube_context: Annotated[str | None, typer.Option("--context")] = None,
    output: Output = Format.TABLE,
) -> None:
    """Put back an old revision, one instance as it was, or a definition with all its instances; the plan comes first."""
    # the compiler and the cluster's client take longer to load than any question to the log takes to answer
    from kro_es.history import rollback as work
    from kro_es.history import whole

    asked = state(context)
    found = asked.target(target, namespace)
    if not (found.is_definition or found.is_instance):
        raise UserError(f"{found.name} is neither a definition nor an instance: roll back what it belongs to")
    wanted = whole.Wanted(to, with_instances, hold, spec_only)
    how = How(work.Where(kubeconfig, kube_context), reason, accepted(accept), dry_run, yes, wait, seconds, hold)
    made = planned(
        how,
        lambda cluster: work.planned(asked.history, cluster, found, wanted),
        lambda: whole.of(asked.history, found, wanted, None),
    )
    carry_out(asked, made, how, output)


@dataclass(frozen=True, slots=True)
class How:
    """How a plan is carried out."""

    where: Where
    reason: str
    accepted: frozenset[str]
    dry_run: bool
    yes: bool
    wait: bool
    seconds: float
    hold: bool = False


def accepted(names: list[str] | None) -> frozenset[str]:
    """Raises UserError for a risk there is not."""
    found = frozenset(names or ())
    if unknown := found - RISKS.keys():
        raise UserError(f"no risk is called {', '.join(sorted(unknown))}; there are {', '.join(RISKS)}")
    return found


def planned(how: How, ask: Callable[[Cluster], Awaitable[Made]], alone: Callable[[], Made]) -> Made:
    """With a plan alone a cluster that does not answer costs what only the cluster can tell."""
    import asyncio

    from kro_es.history import rollback as work

    async def asked() -> Made:
        async with work.reach(how.where) as cluster:
            return await ask(cluster)

    try:
        return asyncio.run(asked())
    except ClusterUnknown:
        if not how.dry_run:
            raise
        return alone()


def carry_out(asked: State, made: Rollback, how: How, output: Format) -> None:
    """The plan, the question, the write, and the way to the end. Raises UserError for risks nobody named."""
    import asyncio

    from kro_es.history import rollback as work

    if output.for_people:
        _print(asked, made)
    else:
        asked.screen.document(made.as_json(), output)
    _show(asked, how)
    if not made.steps:
        return
    if how.dry_run:
        raise typer.Exit(DIFFERENT)
    if refused := made.refused(how.accepted):
        names = " ".join(f"--accept {risk.name}" for risk in refused)
        raise UserError(f"refused because of what the plan names; if that is meant: {names}")
    if not how.yes:
        confirm("Write it?")
    breaking = any(risk.name == "breaking-change" for risk in made.risks)

    async def carried_out() -> Written:
        async with work.reach(how.where) as cluster:
            return await work.carry_out(
                asked.history, cluster, made, how.reason, breaking=breaking, hold=how.hold, seconds=how.seconds
            )

    written = asyncio.run(carried_out())
    try:
        _say(f"written, command {written.command}")
        if how.wait:
            _watch(asked, made, written, how.seconds)
    except KeyboardInterrupt:
        _say("not watched any more; the controller goes on with it: kro-history rollouts")
        raise


def _show(asked: State, how: How) -> None:
    """Nobody's plan is carried out that could not be shown. Raises UserError."""
    try:
        asked.screen.flush()
    except ReaderGone as error:
        if how.dry_run:
            return
        raise UserError("the plan could not be shown, its reader is gone: nothing was written") from error


def _print(asked: State, made: Rollback) -> None:
    screen = asked.screen
    if not made.steps:
        screen.line(screen.styled(made.target.name, BOLD))
        screen.line("no difference")
    for step in made.steps:
        screen.line(screen.styled(f"{step.target.name}: {_what(step)}", BOLD))
        if step.pinning and not step.keeps_spec:
            screen.line(step.pinning.text)
        screen.changes(step.changes)
    _print_objects(asked, made)
    if made.forecasts:
        counts = made.counts()
        screen.line(f"{len(made.forecasts)} instance(s): " + ", ".join(f"{n} {name}" for name, n in counts.items()))
    for risk in made.risks:
        screen.line(screen.styled(f"risk {risk.name}: {RISKS[risk.name]}", RED))
        for text in risk.details:
            screen.line(f"  {text}")
    screen.notes(made.notes)


def _value(screen: Screen, value: object) -> str:
    return "nothing" if value is None else screen.cell(value)


def _what(step: Plan) -> str:
    if step.labelled:
        return step.labelled.text
    if step.target.is_definition:
        return f"revision {step.base} → content of revision {step.to}"
    if step.pinning and step.keeps_spec:
        return step.pinning.text
    return f"made again as of position {step.to}" if step.again else f"its spec as of position {step.to}"


def _print_objects(asked: State, made: Rollback) -> None:
    screen = asked.screen
    for one in made.forecasts:
        if one.differences or one.unknown:
            screen.line(screen.styled(one.instance, BOLD))
        for difference in one.differences:
            screen.line(f"  {difference.object} is {_PASSIVE[difference.change]}")
            for field in difference.fields:
                screen.line(f"    {field['path']}: {_value(screen, field['old'])} → {_value(screen, field['new'])}")
        for text in one.unknown:
            screen.line(screen.styled(f"  not foreseen: {text}", YELLOW))


def release(  # noqa: PLR0913 - one parameter per flag
    context: typer.Context,
    target: Annotated[str, typer.Argument(help="a definition, or KIND/NAME of one instance")],
    reason: Annotated[str, typer.Option(help="why; kept in the log")],
    namespace: Namespace = None,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
    kubeconfig: Annotated[str | None, typer.Option(envvar="KUBECONFIG")] = None,
    kube_context: Annotated[str | None, typer.Option("--context")] = None,
) -> None:
    """End a hold: what the cluster shows counts again, with the edits that were not applied meanwhile."""
    import asyncio

    from kro_es.history import holds as held
    from kro_es.history import rollback as work

    asked = state(context)
    found = asked.target(target, namespace)
    pending = held.waiting(asked.history, found)
    if pending:
        asked.screen.line(asked.screen.styled(f"{found.name}: {len(pending)} field(s) will change", BOLD))
        asked.screen.changes(pending)
        asked.screen.flush()
    if pending and not yes:
        confirm("Release it?")

    async def released() -> None:
        async with work.reach(work.Where(kubeconfig, kube_context)) as cluster:
            await work.release(asked.history, cluster, found, reason)

    asyncio.run(released())
    _say("released")


def holds(context: typer.Context, output: Output = Format.TABLE) -> None:
    """What is held: since when, by whom, why, and how many fields of later edits wait."""
    from kro_es.history import holds as held

    asked = state(context)
    asked.show(held.holds(asked.history), output)


def _watch(asked: State, made: Rollback, written: Written, seconds: float) -> None:
    """Progress on stderr; the exit code is the verdict. Ctrl-C ends the watching, not the rollback."""
    from kro_es.history.progress import watched

    last = None
    for last in watched(asked.history, made, written, seconds):
        _say(str(last))
    if last is None or not last.verdict:
        raise UserError(f"not at its end after {seconds:g} s; the controller goes on: kro-history rollouts")
    if last.verdict == "done":
        pins = all(step.keeps_spec for step in made.steps)
        text = "each runs the revision it should" if pins else "everything is as it was"
        _say(coloured(f"done: {text}", GREEN, sys.stderr))
        return
    for text in last.details:
        _say(coloured(text, RED, sys.stderr))
    _say(f"failed; the way back: {made.way_back}")
    raise typer.Exit(DIFFERENT)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201 progress is no part of the answer
