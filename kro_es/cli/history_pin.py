"""``kro-history pin``, ``unpin`` and ``pins``: instances that stay on a revision, whatever revision becomes active."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from kro_es.cli import history_rollback as rolling
from kro_es.cli.history_rollback import How
from kro_es.cli.history_state import Namespace, Output, State, state
from kro_es.cli.output import Format
from kro_es.errors import UserError
from kro_es.history.targets import Target

Instances = Annotated[
    str, typer.Argument(help="KIND/NAME of one instance; KIND with -l SELECTOR for all that have the labels")
]
Labels = Annotated[
    str | None, typer.Option("-l", "--selector", help="all instances of KIND with these labels, later ones too")
]
Reason = Annotated[str, typer.Option(help="why; kept in the log")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="only the plan; exit 2 when it changes something")]
Yes = Annotated[bool, typer.Option("--yes", help="do not ask")]
Accept = Annotated[list[str] | None, typer.Option(help="a risk the plan names, e.g. deletes-objects")]
Wait = Annotated[bool, typer.Option(help="watch it to the end")]
Seconds = Annotated[float, typer.Option("--timeout", help="seconds to watch at most")]
Kubeconfig = Annotated[str | None, typer.Option(envvar="KUBECONFIG")]
KubeContext = Annotated[str | None, typer.Option("--context")]


def pin(  # noqa: PLR0913 - one parameter per flag
    context: typer.Context,
    target: Instances,
    to: Annotated[str, typer.Option("--to", "--to-revision", help="a revision: its number, or RGD@N")],
    reason: Reason,
    namespace: Namespace = None,
    selector: Labels = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    accept: Accept = None,
    wait: Wait = True,
    seconds: Seconds = 300.0,
    kubeconfig: Kubeconfig = None,
    kube_context: KubeContext = None,
    output: Output = Format.TABLE,
) -> None:
    """Keep instances on a revision of their definition until they are unpinned; the plan comes first."""
    from kro_es.history import pinning, selecting
    from kro_es.history import rollback as work

    asked = state(context)
    how = How(work.Where(kubeconfig, kube_context), reason, rolling.accepted(accept), dry_run, yes, wait, seconds)
    if selector is None:
        found = pinning.chosen(asked.history, target, namespace)
        definition = str(pinning.followed(asked.history, found)["definition"])
        _carry_out(asked, (found,), _number(definition, to), how, output)
        return
    chosen = selecting.selected(asked.history, target, namespace, selector)
    number = _number(chosen.definition.ref.name, to)
    made = rolling.planned(
        how,
        lambda cluster: work.planned_labels(asked.history, cluster, chosen, number),
        lambda: selecting.of_pin(asked.history, chosen, number, None),
    )
    assert made is not None
    rolling.carry_out(asked, made, how, output)


def unpin(  # noqa: PLR0913 - one parameter per flag
    context: typer.Context,
    target: Instances,
    reason: Reason,
    namespace: Namespace = None,
    selector: Labels = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    accept: Accept = None,
    wait: Wait = True,
    seconds: Seconds = 300.0,
    kubeconfig: Kubeconfig = None,
    kube_context: KubeContext = None,
    output: Output = Format.TABLE,
) -> None:
    """Let instances follow the active revision again; the plan comes first."""
    from kro_es.history import pinning, selecting
    from kro_es.history import rollback as work

    asked = state(context)
    how = How(work.Where(kubeconfig, kube_context), reason, rolling.accepted(accept), dry_run, yes, wait, seconds)
    if selector is None:
        _carry_out(asked, (pinning.chosen(asked.history, target, namespace),), None, how, output)
        return
    chosen = selecting.selected(asked.history, target, namespace, selector)
    made = rolling.planned(
        how,
        lambda cluster: work.planned_labels(asked.history, cluster, chosen, None),
        lambda: selecting.of_unpin(asked.history, chosen, None),
    )
    if made is not None:
        rolling.carry_out(asked, made, how, output)
    else:
        _carry_out(asked, pinning.of_their_own(asked.history, target, namespace, selector), None, how, output)


def pins(context: typer.Context, output: Output = Format.TABLE) -> None:
    """What is pinned: to which revision, since when, by whom and why, and which revision is active."""
    from kro_es.history import pins as pinned

    asked = state(context)
    asked.show(pinned.pins(asked.history), output)


def _carry_out(asked: State, found: Sequence[Target], number: int | None, how: How, output: Format) -> None:
    from kro_es.history import rollback as work
    from kro_es.history import whole

    made = rolling.planned(
        how,
        lambda cluster: work.planned_pins(asked.history, cluster, found, number),
        lambda: whole.of_pins(asked.history, found, number, None),
    )
    rolling.carry_out(asked, made, how, output)


def _number(definition: str, to: str) -> int:
    """Raises UserError when it is no revision, or one of another definition."""
    name, _, number = to.rpartition("@")
    if not number.isdigit() or int(number) == 0 or name not in ("", definition):
        raise UserError(f"{to!r} is no revision of {definition}: give its number, e.g. --to 2, or {definition}@2")
    return int(number)
