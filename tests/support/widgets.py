"""A kind with conversion, defaults and every list type, and webhooks that change what is written."""

from __future__ import annotations

from tests.support.api import Object
from tests.support.webhooks import Webhooks

WIDGETS = "sweep.example.com"


def crd(hooks: Webhooks) -> Object:
    """``v2`` is stored and calls ``size`` ``capacity``."""
    text = {"type": "string"}
    port = {
        "port": {"type": "integer"},
        "protocol": {**text, "default": "TCP"},
        "weight": {"type": "integer", "default": 1},
    }
    spec: Object = {
        "image": text,
        "port": {"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, text]},
        "tags": {"type": "array", "x-kubernetes-list-type": "set", "items": text},
        "order": {"type": "array", "x-kubernetes-list-type": "atomic", "items": text},
        "endpoints": {
            "type": "array",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["port", "protocol"],
            "items": {"type": "object", "required": ["port"], "properties": port},
        },
        "whole": {"type": "object", "x-kubernetes-map-type": "atomic", "x-kubernetes-preserve-unknown-fields": True},
        "parts": {"type": "object", "additionalProperties": text, "default": {"b": "two"}},
        "any": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        "mode": {**text, "default": "auto"},
        "comment": text,
    }
    versions = [
        {"name": version, "served": True, "storage": version == "v2", "schema": {"openAPIV3Schema": {
            "type": "object", "properties": {"spec": {"type": "object", "properties": {**spec, name: text}}}}}}
        for version, name in (("v1", "size"), ("v2", "capacity"))
    ]  # fmt: skip
    webhook = {"clientConfig": hooks.client("convert"), "conversionReviewVersions": ["v1"]}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"widgets.{WIDGETS}"},
        "spec": {
            "group": WIDGETS,
            "scope": "Namespaced",
            "names": {"plural": "widgets", "kind": "Widget"},
            "versions": versions,
            "conversion": {"strategy": "Webhook", "webhook": webhook},
        },
    }


def mutating(hooks: Webhooks) -> Object:
    every = {"apiVersions": ["*"], "operations": ["CREATE", "UPDATE"]}
    common = {
        "clientConfig": hooks.client("mutate"),
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    }
    injected = {"matchLabels": {f"{WIDGETS}/inject": "yes"}}
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": WIDGETS},
        "webhooks": [
            {"name": f"w.{WIDGETS}", **common, "rules": [{**every, "apiGroups": [WIDGETS], "resources": ["widgets"]}]},
            {
                "name": f"p.{WIDGETS}",
                **common,
                "objectSelector": injected,
                "rules": [{**every, "apiGroups": [""], "resources": ["pods"]}],
            },
        ],
    }


def mutate(obj: Object) -> None:
    """The images come from a mirror, a Pod gets one container more, a widget a tag and a field; each once."""
    spec = obj["spec"]
    for holder in (spec, *spec.get("containers", ())):
        if "image" in holder:
            holder["image"] = holder["image"].replace("registry.example.com/", "mirror.example.com/")
    if obj["kind"] == "Pod" and len(spec["containers"]) == 1:
        spec["containers"].insert(0, {"name": "proxy", "image": "mirror.example.com/proxy:1"})
    elif obj["kind"] == "Widget" and "injected" not in spec.get("tags", ()):
        spec["tags"] = ["injected", *spec.get("tags", ())]
        spec["parts"] = {**spec.get("parts", {}), "injected": "yes"}


def convert(obj: Object, version: str) -> Object:
    old, new = ("size", "capacity") if version.endswith("/v2") else ("capacity", "size")
    spec = {new if name == old else name: value for name, value in obj.get("spec", {}).items()}
    return {**obj, "apiVersion": version, "spec": spec}
