"""``kro-history doctor``: what is wrong, on one screen, each thing once."""

from __future__ import annotations

from collections.abc import Iterator

import typer

from kro_es.api.objects import JsonObject
from kro_es.cli.history_changes import TargetText
from kro_es.cli.history_state import DIFFERENT, Namespace, Output, state
from kro_es.cli.output import DIM, GREEN, RED, YELLOW, Format, Screen


def doctor(
    context: typer.Context, target: TargetText, namespace: Namespace = None, output: Output = Format.TABLE
) -> None:
    """Why an instance is not ready: the node it waits for, since when, on what, the last errors; exit 2 when it is not.

    Of a definition: what is wrong with it, why its last edit was refused, and its instances that are not ready.
    """
    from kro_es.history import doctor as work

    asked = state(context)
    ready, report, notes = work.doctor(asked.history, asked.target(target, namespace))
    if output.for_people:
        (_of_instance if "instance" in report else _of_definition)(asked.screen, report, GREEN if ready else RED)
    else:
        asked.screen.document(report, output)
    asked.screen.notes(notes)
    if not ready:
        asked.screen.flush()
        raise typer.Exit(DIFFERENT)


def _of_instance(screen: Screen, report: JsonObject, style: str) -> None:
    if report["state"] == "GONE":
        screen.line(f"{report['instance']} is gone; its last event is {report['last_event']}")
        return
    head = f"{report['instance']}: {report['state']} for {report['for']}, at revision {report['revision']}"
    screen.line(screen.styled(head, style))
    if report["pinned"]:
        screen.line(f"  {report['pinned']}")
    said = {node["on"] for node in report["waiting"]}
    if report["message"] and not any(text and text in report["message"] for text in said):
        screen.line(f"  {report['message']}")
    for line in _waiting(screen, report["waiting"]):
        screen.line(line)
    for error in report["errors"]:
        often = f", {error['times']} times" if error["times"] > 1 else ""
        when = f"error {error['event']} at {screen.time(error['time'])}{often}"
        screen.line(f"{when}: {error['object']}: {error['status']} {error['reason']}".rstrip())
        if error["message"] not in said:
            screen.line(f"  {error['message']}")
    _definition(screen, report["definition"])
    past = [f"@{one['revision']} {one['took'] or one['state']}" for one in report["before"]]
    if past:
        screen.line(screen.styled(f"rollouts before: {', '.join(past)}", DIM))


def _waiting(screen: Screen, nodes: list[JsonObject]) -> Iterator[str]:
    """Causes in full; nodes that wait for another node in one line."""
    for node in nodes:
        if node["behind"]:
            continue
        what = f" ({node['object']})" if node["object"] else ""
        yield screen.styled(f"waits for {node['node']}{what}, {node['state']} for {node['for']}", YELLOW)
        yield from (f"  {text}" for text in (node["on"], *node["conditions"]) if text)
    if behind := [f"{node['node']} (for {node['behind']})" for node in nodes if node["behind"]]:
        yield screen.styled(f"waiting for these in turn: {', '.join(behind)}", YELLOW)


def _definition(screen: Screen, head: JsonObject) -> None:
    for text in head.get("trouble", ()):
        screen.line(screen.styled(f"definition {head['name']}: {text}", YELLOW))
    if head.get("last_edit_refused"):
        screen.line(f"the last edit of {head['name']} was refused: kro-history doctor {head['name']}")


def _of_definition(screen: Screen, report: JsonObject, style: str) -> None:
    active = f"revision {report['active']} active" if report["active"] else "no revision active"
    behind = f" (the newest is {report['newest']})" if report["newest"] != report["active"] else ""
    counted = f"{report['instances'] - report['not_ready']} of {report['instances']} instance(s) ready"
    screen.line(screen.styled(f"{report['definition']}: {report['state']}, {active}{behind}, {counted}", style))
    for text in report["trouble"]:
        screen.line(f"  {text}")
    if report["refused"]:
        screen.line(screen.styled("its last edit was refused", YELLOW))
        for text in report["refused"]:
            screen.line(f"  {text}")
    for one in report["waiting"]:
        screen.line(screen.styled(f"{one['instance']}: {one['state']} for {one['for']}", YELLOW))
        screen.line(f"  {one['message']}")
    if left := report["not_ready"] - len(report["waiting"]):
        screen.line(f"and {left} more")
    if report["waiting"]:
        where = f" -n {report['waiting'][0]['namespace']}" if report["waiting"][0]["namespace"] else ""
        screen.line(screen.styled(f"more: kro-history doctor {report['waiting'][0]['target']}{where}", DIM))
