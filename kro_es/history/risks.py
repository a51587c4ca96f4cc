"""What may go wrong with a rollback, by the names a person accepts it with; light to load."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from kro_es.errors import UserError

RiskName = Literal["breaking-change", "deletes-objects", "lost-data", "blind-spot"]
RISKS: dict[str, str] = {
    "breaking-change": "the schema of the instances changes in a way that breaks some of them",
    "deletes-objects": "objects are deleted; what only they hold does not come back",
    "lost-data": "volumes are made anew and empty; what the old ones held does not come back",
    "blind-spot": "nobody watched at the time it goes back to: what is put back may not be what was there",
}


@dataclass(frozen=True, slots=True)
class Risk:
    name: RiskName
    details: tuple[str, ...]


class ClusterUnknown(UserError):
    """No cluster could be asked: no kubeconfig that works, or nobody answers."""
