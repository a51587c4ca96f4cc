"""Every projection there is, in the order they are folded."""

from __future__ import annotations

from kro_es.projections.bookkeeping import FieldSets, Gaps, LostWatches, OpenWrites, SeenFields
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
    LostWatches(),
    Drifts(),
    Holds(),
    Pins(),
    Offenders(),
    Timeline(),
)
_FOR_PEOPLE = frozenset({"rollouts", "gaps", "drift", "timeline"})
FOR_PEOPLE: tuple[Projection, ...] = tuple(found for found in PROJECTIONS if found.name in _FOR_PEOPLE)
"""Those no pass of the controller reads: processes of their own may fold them a little later."""
NEEDED: tuple[Projection, ...] = tuple(found for found in PROJECTIONS if found.name not in _FOR_PEOPLE)
"""Those the controller decides by: always folded in the transaction of the events."""
BY_STREAM = frozenset(
    {
        "objects", "instances", "nodes", "revisions", "rollouts", "open_writes", "gaps", "lost_watches", "drift", "offenders",
        "timeline",
    }
)  # fmt: skip
"""Those that can be split by stream: every row is made of the events of one stream alone (of the audit of a stream too).

Their keys are made of the stream's name, or of the position of an event of it, which only later events of that stream
name: the outcome of a write is in the stream of its intent, the end of drift in that of the decision that found it.
So the streams may be folded apart, in any order, as long as each is folded in its own. The keys of the others are digests
and uids that several streams share: a definition's row is also of the commands about it, which have streams of their own.
"""
