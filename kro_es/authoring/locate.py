"""A fault of a definition to the place in the text: which value it speaks of, and which character of an expression."""

from __future__ import annotations

import re
from dataclasses import dataclass

from kro_es.authoring import findings
from kro_es.authoring.inside import place_in
from kro_es.authoring.tree import Found, Node, Place, follow
from kro_es.authoring.yaml_reader import Document
from kro_es.errors import DefinitionFault

_NAMED = re.compile(r"(?:unknown identifiers: \[|unknown functions: \[\{|node )(\w+)")
_WORD_OR_TEXT = re.compile(r"""(?P<word>[A-Za-z_]\w*)|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'""")


@dataclass(frozen=True, slots=True)
class Located:
    """``path`` is the one that was meant, whether the document has it or not."""

    path: str
    place: Place


def locate(fault: DefinitionFault, document: Document, code: str) -> Located:
    """Paths of faults begin at the document, at a resource or at its template: the one that is there is meant."""
    candidates = _candidates(fault, document.root, code)
    found = [(path, follow(document.root, path)) for path in candidates]
    path, best = next((item for item in found if item[1].complete), max(found, key=lambda item: len(item[1].path)))
    return Located(path, _place(fault, best, document, code))


def _candidates(fault: DefinitionFault, root: Node, code: str) -> list[str]:
    if fault.resource is not None:
        at = _resource(root, fault.resource)
        if not fault.path:
            return [f"{at}.template.kind", at] if code == findings.KIND_UNKNOWN else [f"{at}.id", at]
        dimension = [f"{at}.{path}" for path in _dimensions(follow(root, f"{at}.forEach").node, fault.path)]
        return [*dimension, *(f"{at}.{part}{fault.path}" for part in ("template.", "externalRef.", "")), fault.path]
    path = fault.path or ""
    # a definition read from a cluster has a status of its own
    return [f"spec.schema.{path}", path] if path.partition(".")[0] == "status" else [path]


def _dimensions(for_each: Node, path: str) -> list[str]:
    """A dimension is called by its iterator, and stands in a list of maps with one member each."""
    start, _, name = path.partition(".")
    if start != "forEach":
        return []
    return [f"forEach[{index}].{name}" for index, item in enumerate(for_each.items) if name in item.members]


def _resource(root: Node, node_id: str) -> str:
    resources = follow(root, "spec.resources").node.items
    for index, node in enumerate(resources):
        given = node.child("id")
        if given is not None and given.value == node_id:
            return f"spec.resources[{index}]"
    return "spec.resources"


def _place(fault: DefinitionFault, found: Found, document: Document, code: str) -> Place:
    value = found.node.value
    if not found.complete or not isinstance(value, str) or fault.expression is None:
        # what is wrong with an unknown field is its name
        return found.key if code == findings.FIELD_UNKNOWN and found.complete and found.key else found.place
    begin = value.find(fault.expression)
    if begin < 0:
        return found.node.start
    column = fault.column or _named(fault)
    return place_in(found.node, begin + column - 1, document.lines)


def _named(fault: DefinitionFault) -> int:
    """1-based column of the name the message speaks of; 1 when it names none."""
    named = _NAMED.search(fault.message)
    if named is None or fault.expression is None:
        return 1
    words = _WORD_OR_TEXT.finditer(fault.expression)
    return next((word.start() + 1 for word in words if word["word"] == named[1]), 1)
