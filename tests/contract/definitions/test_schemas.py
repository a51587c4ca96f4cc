"""A revision keeps the schemas it was compiled against, and compiles with them whatever the cluster serves later."""

from __future__ import annotations

from typing import Any

from kro_es.events.types import RevisionIssued, SchemaRecorded
from kro_es.schema import closure
from tests.contract.definitions.steps import CM, bodies, condition, issued, put, state, thing, things
from tests.support.fake_server import Object
from tests.support.inside import Inside


def _late(**fields: str) -> Object:
    spec = {"type": "object", "properties": {name: {"type": type_} for name, type_ in fields.items()}}
    schema = {"type": "object", "properties": {"spec": spec}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "lates.late.test"},
        "spec": {
            "group": "late.test",
            "scope": "Namespaced",
            "names": {"kind": "Late", "plural": "lates", "singular": "late", "listKind": "LateList"},
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}],
        },
    }


def _child(**spec: Any) -> Object:
    meta = {"name": "${schema.metadata.name}-late"}
    return {"id": "late", "template": {"apiVersion": "late.test/v1", "kind": "Late", "metadata": meta, "spec": spec}}


async def test_a_definition_waits_for_a_kind_and_no_longer(inside: Inside) -> None:
    """Scenario 14, T12: the arrival of the CRD is the event, no timer."""
    await put(inside, things(_child(size=1)))
    text = condition(inside, "GraphAccepted")[2]
    assert 'cannot resolve group version "late.test/v1": schema not found' in text
    await inside.create(_late(size="integer"))
    assert (state(inside), issued(inside)) == ("Active", 1)


async def test_instances_go_on_when_a_kind_that_was_gone_is_back(inside: Inside) -> None:
    """The same schema is the same graph, and no event of an instance or a child tells of it."""
    await inside.create(_late(size="integer"))
    await put(inside, things(_child(size=1)))
    await inside.create(thing())
    inside.server.erase(inside.ref("Late", "one-late"))
    inside.server.erase(inside.ref("CustomResourceDefinition", "lates.late.test"))
    await inside.rest()
    assert (state(inside), inside.state("one", "Thing")) == ("Inactive", "ERROR")
    await inside.create(_late(size="integer"))
    assert (state(inside), inside.state("one", "Thing")) == ("Active", "ACTIVE")
    assert inside.names("Late") == ["one-late"]


async def test_a_revision_compiles_as_it_did_when_the_kind_has_changed(inside: Inside) -> None:
    """Scenario 66 and T12: the edit is judged by the kind as it is now, the active revision by the one it was issued with."""
    await inside.create(_late(size="integer", colour="string"))
    await put(inside, things(CM, _child(size=1, colour="red")))
    await inside.create(thing())
    live = inside.get("CustomResourceDefinition", "lates.late.test")
    inside.server.update({**live, "spec": _late(size="string")["spec"]})
    await inside.rest()
    assert "schema not found for field colour" in condition(inside, "GraphAccepted")[2]
    await inside.restart()
    assert condition(inside, "GraphRevisionsResolved") == ("True", "Resolved", "revision 1 compiled and active")
    assert inside.controller is not None
    world = inside.controller.assembled.world
    (revision,) = bodies(inside, RevisionIssued)
    graph = world.graphs.get(revision.definition_uid, 1)
    assert graph is not None
    assert graph.schemas_digest == revision.schemas_digest
    await inside.create(thing("two"))
    assert inside.get("Late", "two-late")["spec"]["size"] == 1


async def test_a_schema_is_kept_once_and_whole(inside: Inside) -> None:
    await inside.create(_late(size="integer"))
    await put(inside, things(CM, _child(size=1)))
    await put(inside, things(CM, name="other", kind="Other1"))
    kept = {(body.api_version, body.kind): body for body in bodies(inside, SchemaRecorded)}
    assert len(bodies(inside, SchemaRecorded)) == len(kept) == 2
    first, second = bodies(inside, RevisionIssued)
    assert first.schemas == {
        "late.test/v1 Late": kept["late.test/v1", "Late"].digest,
        "v1 ConfigMap": kept["v1", "ConfigMap"].digest,
    }
    assert second.schemas == {"v1 ConfigMap": first.schemas["v1 ConfigMap"]}
    for body in kept.values():
        assert closure.digest(body.content) == body.digest
        schema = closure.opened(body.content)
        meta = schema.property("metadata")
        assert meta is not None
        assert meta.property("labels") is not None
