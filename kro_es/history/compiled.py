"""The revisions of a log compiled as their instances run them: by the schemas kept with them, and the controller's settings."""

from __future__ import annotations

from kro_es.api.definition import parse
from kro_es.api.objects import Gvk, JsonObject, Resource
from kro_es.cel.declarations import ENVIRONMENTS
from kro_es.errors import DefinitionErrors, UserError
from kro_es.events.types import ControllerStarted
from kro_es.graph.compile import compile_graph
from kro_es.graph.node import ResourceGraph
from kro_es.history.revisions import parsed
from kro_es.history.source import History
from kro_es.projections.projection import Row
from kro_es.schema import closure
from kro_es.schema.openapi import KindSchema
from kro_es.settings import Settings


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
