"""Everything the programs can be told, as one frozen value; read once by the command line and passed down in parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

VERSION = "0.1.0"
"""Version of the engine; recorded with every decision."""


@dataclass(frozen=True)
class Settings:
    """How ``kro-es run`` behaves; every field has a flag of the same name and a variable ``KRO_ES_<NAME>``."""

    database: str
    """``sqlite:///path`` or ``postgresql://...``."""
    kubeconfig: str | None = None
    """None: in the cluster by service account, else the usual places."""
    context: str | None = None
    leader_elect: bool | None = None
    """Whether a Lease decides who acts; None: with PostgreSQL yes, with SQLite (one process) no."""
    install_crds: bool = False
    redaction_key_file: str | None = None
    """None: ``<database file>.key`` beside a SQLite file; required for PostgreSQL."""
    redact: tuple[str, ...] = ()
    """Rules that name more fields whose values are never recorded (api/sensitive.py)."""
    label_version: str = VERSION
    """What ``kro.run/kro-version`` and the tooling annotation say."""
    health_address: str = "127.0.0.1:8079"
    metrics_address: str = "127.0.0.1:8078"
    history_address: str | None = None
    """host:port the API server reaches the log at (deploy/history); None: it cannot be asked through the cluster."""
    workers: int = 16
    """Instances reconciled at the same time."""
    concurrency: int = 64
    """Requests in flight to the API server."""
    resync_hours: float = 10.0
    max_revisions: int = 5
    """GraphRevision objects kept in the cluster; the log keeps all."""
    allow_crd_deletion: bool = False
    """Whether a deleted definition takes its CRD with it, and so every instance (kro: --allow-crd-deletion)."""
    max_collection: int = 1000
    """Items one forEach collection may have (kro: --rgd-max-collection-size)."""
    omit: bool = True
    """Whether definitions may use omit() (kro: feature gate CELOmitFunction, closed unless opened)."""
    instance_events: bool = False
    """Whether conditions of instances that turn become Kubernetes Events (kro: feature gate InstanceConditionEvents)."""
    functions: Literal["full", "kro"] = "full"
    """Functions expressions may call: ``full``, or exactly those of ``kro``."""
    projections: Literal["all", "needed"] = "all"
    """Which projections the controller folds; those it does not need itself, ``kro-es projector`` can (PostgreSQL)."""
    audit_source: str | None = None
    """``file:PATH`` or ``webhook:[HOST:]PORT``: audit events of the API server, so that actors are users."""
    audit_token_file: str | None = None
    """Bearer token the API server's webhook has to show."""
    audit_certificate_file: str | None = None
    """Certificate in PEM the webhook bears, made with its key where both are missing; None: plain HTTP."""
    audit_key_file: str | None = None
    audit_plain_http: bool = False
    """Whether the webhook speaks plain HTTP to other machines too."""
    log_level: str = "info"
