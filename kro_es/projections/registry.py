"""Every projection there is, in the order they are folded."""

from __future__ import annotations

from kro_es.projections.bookkeeping import FieldSets, Gaps, OpenWrites, SeenFields
from kro_es.projections.drift import Drifts, Offenders
from kro_es.projections.holds import Holds
from kro_es.projections.instances import Instances, Nodes
from kro_es.projections.objects import Objects
from kro_es.projections.pins import Pins
from kro_es.projections.projection import Projection
from kro_es.projections.revisions import Definitions, Revisions, Rollouts
from kro_es.projections.schemas import Schemas
from kro_es.projections.timeline import Timeline

PROJECTIONS: tuple[Projection, ...] = (
    Objects(),
    Instances(),
    Nodes(),
    Definitions(),
    Revisions(),
    Rollouts(),
    Schemas(),
    OpenWrites(),
    FieldSets(),
    SeenFields(),
    Gaps(),
    Drifts(),
    Holds(),
    Pins(),
    Offenders(),
    Timeline(),
)
