"""What is pinned, and the revisions of a log compiled as their instances run them."""

from __future__ import annotations

from kro_es.api.definition import parse
from kro_es.api.objects import Gvk, JsonObject, Resource
from kro_es.cel.declarations import ENVIRONMENTS
from kro_es.decisions.pin import Pin
from kro_es.errors import DefinitionErrors, UserError
from kro_es.events.types import ControllerStarted
from kro_es.graph.compile import compile_graph
from kro_es.graph.node import ResourceGraph
from kro_es.history import tail
from kro_es.history.revisions import parsed
from kro_es.history.source import Answer, History
from kro_es.history.times import iso
from kro_es.projections.pins import Pins
from kro_es.projections.projection import Row
from kro_es.schema import closure
from kro_es.schema.openapi import KindSchema
from kro_es.settings import Settings


def pins(history: History) -> Answer:
    """One row a pinned instance, the longest pinned first."""
    active = {row["key"]: row["active"] for row in history.rows("SELECT key, active FROM p_definitions")}
    found = sorted(tail.rows(history, Pins()), key=lambda row: (int(str(row["since"])), str(row["key"])))
    rows = [
        {
            "object": f"{str(row['kind']).lower()}/{row['name']}",
            "namespace": row["namespace"],
            "pinned_to": f"{row['definition']}@{row['number']}",
            "active": f"{row['definition']}@{active.get(row['definition_uid'], 0)}",
            "since": iso(int(str(row["since"]))),
            "actor": row["actor"],
            "reason": row["reason"],
            "position": row["position"],
        }
        for row in found
    ]
    columns = ("object", "namespace", "pinned_to", "active", "since", "actor", "reason")
    return Answer(rows, columns, (*columns, "position"))


def pin_of(history: History, uid: str, obj: JsonObject) -> Pin | None:
    """What an instance is pinned to, by the log or by the object as it is recorded."""
    rows = [row for row in tail.rows(history, Pins()) if row["key"] == uid]
    return Pin.of(obj, rows[0] if rows else None)


def pinned_of(history: History, definition_uid: str) -> dict[str, int]:
    """By uid, instances of a definition that are pinned, and to which revision."""
    rows = [row for row in tail.rows(history, Pins()) if row["definition_uid"] == definition_uid]
    return {str(row["key"]): int(str(row["number"])) for row in rows}


def graph(history: History, row: Row, kinds: dict[Gvk, KindSchema] | None = None) -> ResourceGraph:
    """A revision as the controller compiles it for who is pinned to it: by the schemas kept with it, and its settings.

    ``kinds`` stand for the schemas of a revision that was recorded without. Raises UserError when it does not compile.
    """
    name = f"revision {row['number']} of {row['definition']}"
    meta = {"name": row["definition"], "uid": row["definition_uid"], "generation": row["generation"]}
    known = _kept(history, row) or kinds
    if known is None:
        raise UserError(f"{name} was recorded without the schemas of its kinds: it needs a cluster to be compiled")
    told = _configuration(history)
    omit, functions = told.get("omit", Settings.omit), str(told.get("functions", Settings.functions))
    try:
        definition = parse({"metadata": meta, "spec": parsed(row["spec"])})
        return compile_graph(definition, known, omit=omit, environment=ENVIRONMENTS[functions])
    except DefinitionErrors as error:
        raise UserError(f"{name} does not compile with this version: {error}") from error


def _kept(history: History, row: Row) -> dict[Gvk, KindSchema] | None:
    digests = parsed(row["schemas"]) or {}
    assert isinstance(digests, dict)
    found: dict[Gvk, KindSchema] = {}
    for digest in digests.values():
        rows = history.rows("SELECT * FROM p_schemas WHERE key = ?", (digest,))
        if not rows:
            return None
        kept = rows[0]
        gvk = Gvk.parse(str(kept["api_version"]), str(kept["kind"]))
        resource = Resource(gvk, str(kept["plural"]), bool(kept["namespaced"]))
        content = parsed(kept["content"])
        assert isinstance(content, dict)
        found[gvk] = KindSchema(resource, closure.opened(content), str(kept["source"]))
    # a graph without resources was compiled against nothing
    return found or (None if row["schemas_digest"] == "" else {})


def _configuration(history: History) -> JsonObject:
    """What the controller was told at its last start."""
    runs = [event.body for event in history.log.read_stream("controller")]
    started = [body for body in runs if isinstance(body, ControllerStarted)]
    return started[-1].configuration if started else {}
