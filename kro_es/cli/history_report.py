"""``kro-history report``: one HTML file about a definition, to be sent or kept."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kro_es.cli.history_state import state
from kro_es.errors import DefinitionErrors, UserError
from kro_es.history import moments
from kro_es.history.source import History
from kro_es.history.targets import Target


def report(
    context: typer.Context,
    definition: Annotated[str, typer.Argument(help="name of a definition")],
    out: Annotated[Path, typer.Option("-o", "--out", help="the file to be written")],
    since: Annotated[str, typer.Option(help="a position, a time, or an age")] = "30d",
    until: Annotated[str, typer.Option(help="a position, a time, or an age")] = "now",
) -> None:
    """Rollouts, failures, drift and the graph of a definition as one self-contained HTML file."""
    from kro_es.history.report import Span, report

    asked = state(context)
    found = asked.target(definition)
    if not found.is_definition:
        raise UserError(f"{found.name} is no definition: a report is about one")
    span = Span(moments.time_of(asked.history, since), moments.time_of(asked.history, until))
    if span.since >= span.until:
        raise UserError(f"--since {since} is not before --until {until}")
    picture, why_not = _picture(asked.history, found)
    text = report(asked.history, found, span, picture, why_not)
    try:
        out.write_text(text)
    except OSError as error:
        raise UserError(f"{out} cannot be written: {error.strerror}") from error
    asked.screen.line(f"{out}: {len(text.encode())} bytes")


def _picture(history: History, target: Target) -> tuple[str, str]:
    """SVG of the active revision by the kinds that ship with the package, or why there is none."""
    from kro_es.api.definition import parse
    from kro_es.authoring import drawing, kinds
    from kro_es.graph.compile import compile_graph
    from kro_es.history.report import active_manifest

    manifest = active_manifest(history, target)
    if manifest is None:
        return "", "No revision is active."
    try:
        graph = compile_graph(parse(manifest), kinds.shipped().kinds)
    except DefinitionErrors as error:
        return "", f"It cannot be drawn by the kinds of Kubernetes alone: {error}"
    return drawing.as_svg(graph), ""
