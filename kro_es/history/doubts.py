"""Why a decision that comes out otherwise may be right all the same: what it was made of is not in the log in clear."""

from __future__ import annotations

import re

import orjson

from kro_es.api.objects import JsonObject
from kro_es.decisions.inputs import InstanceInputs
from kro_es.events.redaction import MARK
from kro_es.events.types import Event, LogRedacted, ObjectObserved
from kro_es.graph.node import ResourceGraph

GONE = "events it was made of are pruned or redacted"
OTHER_KEY = "the log has digests under another redaction key"
REDACTED = "it depends on a redacted value"
_KEY_ID = re.compile(r'"key":"([^"]+)","' + MARK)


class Doubts:
    """Told every event once, then asked about decisions. ``key_id``: of the key the replay makes digests with.

    ``dense``: whether an event that is not there was one of the log.
    """

    def __init__(self, key_id: str, *, dense: bool = True) -> None:
        self._key_id = key_id
        self._dense = dense
        self._other_key = False
        self._next = 1
        self._first_gone = 0

    def seen(self, event: Event) -> None:
        gone = [self._next] if self._dense and event.position > self._next else []
        self._next = event.position + 1
        if isinstance(event.body, LogRedacted):
            gone += event.body.positions
        if gone:
            self._first_gone = min([*gone, self._first_gone or gone[0]])
        if isinstance(event.body, ObjectObserved) and event.subject.kind == "Secret":
            self._other_key = self._other_key or bool(_key_ids(event.body.object) - {self._key_id})

    def gone(self, position: int) -> bool:
        """Whether events up to that position are pruned or redacted."""
        return bool(self._first_gone) and self._first_gone <= position

    def about(self, inputs: InstanceInputs) -> str:
        """Empty when there is none: then a difference is one."""
        if self.gone(inputs.position):
            return GONE
        objects = [inputs.instance, *(child.object for child in (*inputs.children, *inputs.externals.found))]
        plain = [obj for obj in objects if (obj["apiVersion"], obj["kind"]) != ("v1", "Secret")]
        graph = inputs.followed.graph if inputs.followed else None
        if any(map(_key_ids, plain)) or (graph is not None and _reads_secrets(graph)):
            return REDACTED
        others = any(_key_ids(obj) - {self._key_id} for obj in objects)
        if others or (self._other_key and graph is not None and _secrets(graph)):
            return OTHER_KEY
        return ""


def _key_ids(obj: JsonObject) -> set[str]:
    return set(_KEY_ID.findall(orjson.dumps(obj, option=orjson.OPT_SORT_KEYS).decode()))


def _secrets(graph: ResourceGraph) -> set[str]:
    return {node.id for node in graph.nodes if (node.resource.gvk.group, node.resource.gvk.kind) == ("", "Secret")}


def _reads_secrets(graph: ResourceGraph) -> bool:
    """Whether an expression may have read what only the running controller knew."""
    tainted = {node.id for node in graph.nodes if node.tainted_paths} | _secrets(graph)
    read = any(tainted.intersection(node.dependencies) for node in graph.nodes)
    judged = any(node.ready_when for node in graph.nodes if node.id in tainted)
    return read or judged or bool(graph.tainted_status) or (bool(tainted) and graph.conditions is not None)
