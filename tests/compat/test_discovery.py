"""A kind that is not served is told as kro tells it: the kind, or the whole version, cannot be resolved."""

from __future__ import annotations

from typing import Any, cast

import pytest

from kro_es.api.definition import parse
from kro_es.api.objects import JsonObject
from kro_es.cluster.client import ApiClient
from kro_es.cluster.discovery import Discovery
from kro_es.errors import ApiError, DefinitionErrors
from kro_es.graph.compile import compile_graph, required_kinds

SERVED: dict[str, JsonObject] = {
    "/openapi/v3": {"paths": {"apis/kro.run/v1alpha1": {"serverRelativeURL": "/openapi/v3/kro?hash=1"}}},
    "/apis/kro.run/v1alpha1": {
        "resources": [
            {"name": "resourcegraphdefinitions", "kind": "ResourceGraphDefinition", "namespaced": False},
            {"name": "resourcegraphdefinitions/status", "kind": "ResourceGraphDefinition", "namespaced": False},
        ]
    },
}


class Server:
    async def request(self, method: str, path: str, **_: Any) -> JsonObject:
        if path not in SERVED:
            raise ApiError(404, "NotFound", path)
        return SERVED[path]


@pytest.mark.parametrize(
    ("api_version", "what"),
    [
        ("kro.run/v1alpha1", 'group version kind "kro.run/v1alpha1, Kind=Network"'),
        ("kro.run/v2", 'group version "kro.run/v2"'),
        ("acme.io/v1", 'group version "acme.io/v1"'),
    ],
)
async def test_what_is_not_served(api_version: str, what: str) -> None:
    template = {"apiVersion": api_version, "kind": "Network", "metadata": {"name": "n"}}
    spec = {"schema": {"kind": "Thing", "apiVersion": "v1alpha1"}, "resources": [{"id": "n", "template": template}]}
    definition = parse({"metadata": {"name": "things", "uid": "u", "generation": 1}, "spec": spec})
    kinds = await Discovery(cast(ApiClient, Server())).kinds(required_kinds(definition), {})
    with pytest.raises(DefinitionErrors, match=f"cannot resolve {what}: schema not found"):
        compile_graph(definition, kinds)
