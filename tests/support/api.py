"""Requests to the API server without kubectl: many small questions in little time."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from kro_es.cluster.client import ApiClient, connect
from kro_es.errors import ApiError

Object = dict[str, Any]
_MERGE = "application/merge-patch+json"
_JSON = "application/json-patch+json"


class Api:
    """One client for a ``with`` block; a refusal is an ApiError."""

    def __init__(self, kubeconfig: Path) -> None:
        self._kubeconfig = kubeconfig
        self._runner = asyncio.Runner()
        self._client: ApiClient

    def __enter__(self) -> Api:
        self._client = self._runner.run(connect(str(self._kubeconfig), user_agent="test"))
        return self

    def __exit__(self, *error: object) -> None:
        self._runner.run(self._client.close())
        self._runner.close()

    def try_out(self, path: str, obj: Object) -> Object:
        """Create it, without it being stored."""
        return self._runner.run(self._client.request("POST", path, query={"dryRun": "All"}, body=obj))

    def create(self, path: str, obj: Object) -> Object:
        return self._runner.run(self._client.request("POST", path, body=obj))

    def get(self, path: str) -> Object:
        return self._runner.run(self._client.request("GET", path))

    def patch(self, path: str, body: Object) -> Object:
        return self._runner.run(self._client.request("PATCH", path, body=body, content_type=_MERGE))

    def edit(self, path: str, *steps: Object, manager: str) -> Object:
        """A JSON patch by a field manager."""
        query = {"fieldManager": manager}
        return self._runner.run(self._client.request("PATCH", path, query=query, body=[*steps], content_type=_JSON))

    def paths(self) -> dict[tuple[str, str], str]:
        """(apiVersion, kind) to the path of an object, with ``{namespace}`` where it has one and ``{name}``.

        Of the kinds that can be created, applied and watched, by what the server says of itself.
        """
        versions = {"v1": "/api/v1"}
        for group in self.get("/apis")["groups"]:
            versions |= {item["groupVersion"]: f"/apis/{item['groupVersion']}" for item in group["versions"]}
        found = {}
        for version, root in versions.items():
            for item in self.get(root)["resources"]:
                if {"create", "patch", "watch"} <= set(item["verbs"]) and "/" not in item["name"]:
                    where = "/namespaces/{namespace}" if item["namespaced"] else ""
                    found[version, item["kind"]] = f"{root}{where}/{item['name']}/{{name}}"
        return found

    def refusal(self, path: str, obj: Object) -> str:
        """The text of the refusal; empty when it would be taken."""
        try:
            self.try_out(path, obj)
        except ApiError as error:
            return error.message
        return ""


def vectors(file: Path, *checks: str) -> list[Object]:
    """Recorded from kro, ``input`` read from its JSON."""
    found = [vector for vector in json.loads(file.read_text()) if vector["check"] in checks]
    return [{**vector, "input": json.loads(vector["input"])} for vector in found]
