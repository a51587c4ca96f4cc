"""Faults of one definition as they are found, phase by phase, handed out in document order."""

from __future__ import annotations

from kro_es.cel.errors import CelCheckError, CelError, CelSyntaxError
from kro_es.errors import DefinitionErrors, DefinitionFault
from kro_es.graph import fieldpath
from kro_es.graph.fieldpath import FieldPath
from kro_es.graph.template import Expression

SCHEMA = -1
"""Place of ``schema.kind``, ``types`` and ``spec``; a resource's place is its index."""
STATUS = 1 << 30
"""Place of ``schema.status``: after the resources it reads."""


class Faults:
    """Collects; nothing is raised before :meth:`raise_if_any`."""

    def __init__(self) -> None:
        self._found: list[tuple[int, DefinitionFault]] = []
        self.unknown: set[str] = set()
        """Names whose type nobody knows, as what declares them is at fault: who reads them is not blamed for it."""

    def add(self, place: int, message: str, *, resource: str | None = None, path: str | None = None) -> None:
        """A fault that is not inside an expression."""
        self._found.append((place, DefinitionFault(message, resource, path)))

    def add_expression(
        self,
        site: Site,
        message: str,
        error: CelError | None = None,
    ) -> None:
        """A fault inside an expression; ``error`` tells the column."""
        column = site.column(error)
        fault = DefinitionFault(message, site.resource, site.path, site.expression.text, column)
        self._found.append((site.place, fault))

    def raise_if_any(self) -> None:
        """Schema, then resources as listed, then status; within one of these by phase."""
        if self._found:
            ordered = sorted(self._found, key=lambda item: item[0])
            raise DefinitionErrors(tuple(dict.fromkeys(fault for _, fault in ordered)))


class Site:
    """Where an expression is."""

    __slots__ = ("expression", "path", "place", "resource")

    def __init__(self, place: int, resource: str | None, path: FieldPath, expression: Expression) -> None:
        self.place = place
        self.resource = resource
        self.path = fieldpath.text(path)
        self.expression = expression

    def column(self, error: CelError | None) -> int | None:
        """1-based, in the text the author wrote."""
        if isinstance(error, CelSyntaxError):
            issue = error.issue
        elif isinstance(error, CelCheckError):
            issue = error.issues[0]
        else:
            return None
        return self.expression.column(issue.line, issue.column)
