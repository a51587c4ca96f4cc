"""Schemas of kinds as revisions were compiled against them."""

from __future__ import annotations

from kro_es.events.types import Event, SchemaRecorded
from kro_es.projections.projection import Column, Row


class Schemas:
    """Key: digest of the content."""

    name = "schemas"
    version = 1
    columns = (
        Column("api_version", "text", "apiVersion of the kind"),
        Column("kind", "text", "the kind"),
        Column("plural", "text", "its plural"),
        Column("namespaced", "int", "1 when its objects have a namespace"),
        Column("source", "text", "digest the API server, or the CRD, had for it"),
        Column("content", "json", "the schema with all it refers to"),
    )
    bodies = (SchemaRecorded,)

    def keys(self, event: Event) -> tuple[str, ...]:
        return (event.body.digest,) if isinstance(event.body, SchemaRecorded) else ()

    def fold(self, key: str, row: Row | None, event: Event) -> Row | None:
        match event.body:
            case SchemaRecorded() as recorded:
                return {
                    "api_version": recorded.api_version,
                    "kind": recorded.kind,
                    "plural": recorded.plural,
                    "namespaced": int(recorded.namespaced),
                    "source": recorded.source,
                    "content": recorded.content,
                }
            case _:
                return row
