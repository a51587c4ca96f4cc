"""A resource graph as text, DOT, Mermaid or SVG; arrows go from what is needed to what needs it."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from kro_es.graph.node import Node, ResourceGraph

_WIDTH, _HEIGHT, _GAP_X, _GAP_Y, _MARGIN = 220, 52, 70, 24, 20
_STYLE = (
    "text{font-family:sans-serif;font-size:13px;fill:#1c2733}.kind{font-size:11px;fill:#5b6b7b}"
    "rect{fill:#f3f6fa;stroke:#7d93ab;rx:6}rect.optional{stroke-dasharray:5 4}path{fill:none;stroke:#7d93ab}"
    ".head{fill:#7d93ab}"
)


def steps(graph: ResourceGraph) -> dict[str, int]:
    """From 1: a resource can be applied when all of the steps before its own are there."""
    found: dict[str, int] = {}
    for node in graph.nodes:  # in topological order
        found[node.id] = max((found[name] for name in node.dependencies), default=0) + 1
    return found


def _kind(node: Node) -> str:
    return f"{node.resource.gvk.api_version} {node.resource.gvk.kind}"


def as_text(graph: ResourceGraph) -> str:
    """One line a resource, in the order they are applied; the first column is the step it can be applied in."""
    depths = steps(graph)
    rows = [(str(depths[node.id]), node.id, _kind(node), _needs(node)) for node in graph.nodes]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
    lines = (
        "  ".join((*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3])) for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)


def _needs(node: Node) -> str:
    parts = [f"needs {', '.join(node.dependencies)}"] if node.dependencies else []
    parts += [f"for each {item.name} in {item.text}" for item in node.for_each]
    parts += ["read only"] if node.external else []
    return "; ".join([*parts, *(f"only if {item.text}" for item in node.include_when)])


def as_dot(graph: ResourceGraph) -> str:
    lines = [f"digraph {_dot(graph.definition)} {{", "  rankdir=LR;", "  node [shape=box];"]
    for node in graph.nodes:
        style = ", style=dashed" if node.include_when else ""
        label = _dot(f"{node.id}\n{_kind(node)}")
        lines.append(f"  {_dot(node.id)} [label={label}{style}];")
    lines += [f"  {_dot(needed)} -> {_dot(name)};" for needed, name in _edges(graph)]
    return "\n".join([*lines, "}"])


def _dot(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _edges(graph: ResourceGraph) -> Iterator[tuple[str, str]]:
    return ((needed, node.id) for node in graph.nodes for needed in node.dependencies)


def as_mermaid(graph: ResourceGraph) -> str:
    """Ids get a prefix: some words, such as ``end``, would end the diagram."""
    lines = ["flowchart LR"]
    for node in graph.nodes:
        opening, closing = ("([", "])") if node.include_when else ("[", "]")
        lines.append(f'  n_{node.id}{opening}"{escape(node.id)}<br/><small>{escape(_kind(node))}</small>"{closing}')
    return "\n".join([*lines, *(f"  n_{needed} --> n_{name}" for needed, name in _edges(graph))])


def as_svg(graph: ResourceGraph) -> str:
    """A picture of its own: one column for each step."""
    depths = steps(graph)
    rows: dict[int, int] = {}
    at: dict[str, tuple[int, int]] = {}
    for node in graph.nodes:
        column = depths[node.id] - 1
        row = rows.get(column, 0)
        rows[column] = row + 1
        at[node.id] = (_MARGIN + column * (_WIDTH + _GAP_X), _MARGIN + row * (_HEIGHT + _GAP_Y))
    width = 2 * _MARGIN + max(len(rows), 1) * (_WIDTH + _GAP_X) - _GAP_X
    height = 2 * _MARGIN + max(rows.values(), default=1) * (_HEIGHT + _GAP_Y) - _GAP_Y
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
            f'viewBox="0 0 {width} {height}" role="img">',
            f"<title>{escape(graph.definition)}</title>",
            f"<style>{_STYLE}</style>",
            '<defs><marker id="head" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
            '<path class="head" d="M0 0L8 4L0 8z"/></marker></defs>',
            *(_arrow(at[needed], at[name]) for needed, name in _edges(graph)),
            *(_box(node, *at[node.id]) for node in graph.nodes),
            "</svg>",
        ]
    )


def _arrow(start: tuple[int, int], end: tuple[int, int]) -> str:
    x1, y1, x2, y2 = start[0] + _WIDTH, start[1] + _HEIGHT // 2, end[0], end[1] + _HEIGHT // 2
    bend = _GAP_X // 2
    return f'<path d="M{x1} {y1}C{x1 + bend} {y1} {x2 - bend} {y2} {x2} {y2}" marker-end="url(#head)"/>'


def _box(node: Node, x: int, y: int) -> str:
    optional = ' class="optional"' if node.include_when else ""
    return (
        f'<g><title>{escape(_needs(node) or node.id)}</title><rect{optional} x="{x}" y="{y}" width="{_WIDTH}" '
        f'height="{_HEIGHT}"/><text x="{x + 12}" y="{y + 22}">{escape(node.id)}</text>'
        f'<text class="kind" x="{x + 12}" y="{y + 40}">{escape(_kind(node))}</text></g>'
    )
