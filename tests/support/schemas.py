"""``make schemas``: the schemas of built-in kinds that the package ships, taken from a real API server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import zstandard

from tests.support.controlplane import VERSION, ControlPlane

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "kro_es" / "authoring" / "schemas"
_GVK = "x-kubernetes-group-version-kind"
_TEXTS = ("description", "example", "title")
_UNUSED = ("x-kubernetes-patch-strategy", "x-kubernetes-patch-merge-key")
_PREFIX = "#/components/schemas/"


def export(plane: ControlPlane) -> dict[str, Any]:
    """``{version, kinds: [[apiVersion, kind, plural, namespaced, component]], components}`` of everything served."""
    for file in sorted((ROOT / "deploy" / "crds").glob("*.yaml")):
        plane.kubectl("apply", "--server-side", "-f", str(file))
    plane.kubectl("wait", "crd", "--all", "--for=condition=Established", "--timeout=30s")
    components: dict[str, Any] = {}
    kinds: list[list[Any]] = []
    for root, entry in sorted(_get(plane, "/openapi/v3")["paths"].items()):
        served = _get(plane, f"/{root}") if _is_version(root) else {}
        if not served.get("resources"):
            continue
        found = _get(plane, entry["serverRelativeURL"])["components"]["schemas"]
        for resource in served["resources"]:
            name = _component(found, served["groupVersion"], resource)
            if name is not None:
                kind = [served["groupVersion"], resource["kind"], resource["name"], resource["namespaced"], name]
                kinds.append(kind)
                _collect(name, found, components)
    if not any(kind[0] == "kro.run/v1alpha1" for kind in kinds):
        raise SystemExit("the API server has not published kro's own kinds yet; try again")
    return {"version": VERSION, "kinds": kinds, "components": dict(sorted(components.items()))}


def _get(plane: ControlPlane, path: str) -> Any:
    return json.loads(plane.kubectl("get", "--raw", path))


def _is_version(root: str) -> bool:
    return len(root.split("/")) == (2 if root.startswith("api/") else 3)


def _component(found: dict[str, Any], group_version: str, resource: dict[str, Any]) -> str | None:
    """Subresources are no kinds of their own."""
    group, _, version = group_version.rpartition("/")
    wanted = [{"group": group, "version": version, "kind": resource["kind"]}]
    if "/" in resource["name"]:
        return None
    return next((name for name, node in found.items() if node.get(_GVK) == wanted), None)


def _collect(name: str, found: dict[str, Any], components: dict[str, Any]) -> None:
    """The component and those it refers to; the same name means the same schema in every document."""
    waiting = [name]
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        node = _stripped(found[name])
        if components.setdefault(name, node) != node:
            raise SystemExit(f"two documents differ in {name}")
        waiting += _references(node)


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"].removeprefix(_PREFIX)
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


def _stripped(node: Any) -> Any:
    if isinstance(node, list):
        return [_stripped(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {
        name: _stripped(value)
        for name, value in node.items()
        # a property may itself be called "description": only the text form is dropped
        if name not in (_GVK, *_UNUSED) and not (name in _TEXTS and not isinstance(value, dict))
    }


def write(bundle: dict[str, Any]) -> Path:
    """Named by the minor version; equal input gives equal bytes."""
    major, minor, _ = bundle["version"].removeprefix("v").split(".")
    FOLDER.mkdir(exist_ok=True)
    file = FOLDER / f"{major}.{minor}.json.zst"
    text = json.dumps(bundle, separators=(",", ":"), sort_keys=True).encode()
    file.write_bytes(zstandard.ZstdCompressor(level=19).compress(text))
    return file


def main() -> None:
    with ControlPlane() as plane:
        bundle = export(plane)
    file = write(bundle)
    print(f"{file.relative_to(ROOT)}: {len(bundle['kinds'])} kinds, {file.stat().st_size} bytes")


if __name__ == "__main__":
    main()
