"""What became of a definition: its revisions, their schemas, its API."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from kro_es.api.objects import JsonObject


@dataclass(frozen=True, slots=True)
class RevisionIssued:
    """A definition's spec was accepted as a new, numbered revision."""

    TYPE: ClassVar[str] = "revision.issued"
    definition_uid: str
    definition: str
    number: int
    spec: JsonObject
    spec_hash: str
    generation: int
    topological_order: tuple[str, ...]
    instance_group: str
    instance_version: str
    instance_kind: str
    instance_plural: str
    engine: str
    schemas_digest: str
    tainted: dict[str, list[list[str | int]]] = field(default_factory=dict)
    """Node id (``status`` for the instance status) to the field paths that are redacted wherever recorded."""
    reason: str = ""
    """Why, when a person said so (rollback)."""
    rolled_back_to: int = 0
    schemas: dict[str, str] = field(default_factory=dict)
    """``apiVersion kind`` to the digest its schema is recorded under (``schema.recorded``)."""
    imported: bool = False
    """Taken over from a GraphRevision object that was there before this log."""
    position: int = 0
    """The log position everything was read at; 0: recorded before that was noted."""


@dataclass(frozen=True, slots=True)
class RevisionRejected:
    """A definition's spec was refused; every fault is kept: failed attempts are history too."""

    TYPE: ClassVar[str] = "revision.rejected"
    definition_uid: str
    definition: str
    spec_hash: str
    generation: int
    faults: tuple[JsonObject, ...]
    position: int = 0
    """As in :class:`RevisionIssued`."""
    schemas: dict[str, str] = field(default_factory=dict)
    """Those of the kinds that were served, as in :class:`RevisionIssued`."""
    ours: bool = False
    """The compiler failed: no fault of the spec."""


@dataclass(frozen=True, slots=True)
class RevisionActivated:
    """From here on instances of the definition follow this revision."""

    TYPE: ClassVar[str] = "revision.activated"
    definition_uid: str
    definition: str
    number: int
    instances: int = 0
    """How many instances were known when it happened."""
    position: int = 0
    """The log position they were counted at; 0: recorded before that was noted."""
    found: bool = False
    """It was active before this log knew of it: its API was found installed."""


@dataclass(frozen=True, slots=True)
class SchemaRecorded:
    """The schema of a kind as a revision was compiled against it, with all it refers to; once per content."""

    TYPE: ClassVar[str] = "schema.recorded"
    digest: str
    api_version: str
    kind: str
    plural: str
    namespaced: bool
    source: str
    """Digest the API server gave the document, or that of the CRD."""
    content: JsonObject


@dataclass(frozen=True, slots=True)
class CrdApplied:
    """The API of a definition's instances was created or changed for a revision; the changes as conditions word them."""

    TYPE: ClassVar[str] = "crd.applied"
    definition_uid: str
    definition: str
    number: int
    crd: str
    created: bool
    breaking: tuple[str, ...] = ()
    """Changes that were allowed by annotation although they break instances."""
    compatible: tuple[str, ...] = ()
    installed: list[JsonObject] = field(default_factory=list)
    """The versions of the API before; none when it was made."""
    position: int = 0
    """As in :class:`RevisionIssued`."""
    schemas: dict[str, str] = field(default_factory=dict)
    """As in :class:`RevisionIssued`."""
