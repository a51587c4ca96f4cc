"""CustomResourceDefinitions from files, for kinds that do not ship with Kubernetes."""

from __future__ import annotations

from collections.abc import Sequence

from kro_es.api.objects import Gvk
from kro_es.authoring.objects import objects
from kro_es.authoring.sources import Unreadable
from kro_es.errors import UserError
from kro_es.graph.published import of_crd
from kro_es.schema.openapi import KindSchema

KIND = "CustomResourceDefinition"


def crd_kinds(names: Sequence[str]) -> dict[Gvk, KindSchema]:
    """The kinds of every CRD in files and folders; other objects are passed over. Raises Unreadable."""
    found: dict[Gvk, KindSchema] = {}
    for name in names:
        for crd in objects([name]):
            if crd.get("kind") != KIND:
                continue
            try:
                found |= of_crd(crd)
            except UserError as error:
                raise Unreadable(name, str(error)) from None
    return found
