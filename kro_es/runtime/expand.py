"""A node's template to the objects it stands for: one, or one for each item of its forEach lists (spec/03 §4.6, §5.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from math import prod

from kro_es.api.objects import JsonObject, JsonValue
from kro_es.cel.errors import CelError, DataPending, verb
from kro_es.cel.omit import without_omitted
from kro_es.errors import UserError
from kro_es.graph.fieldpath import FieldPath
from kro_es.graph.node import Dimension, Node, TemplateField
from kro_es.graph.template import render
from kro_es.schema.gotext import quote

Bindings = Mapping[str, JsonValue]


class Pending(UserError):
    """Observed data is not there yet; the text says which and for whom."""


class Fatal(UserError):
    """No event will ever make this work; the pass stops."""


def rendered(node: Node, bindings: Bindings, namespace: str, *, limit: int) -> tuple[JsonObject, ...]:
    """What the node should be now, in order. ``namespace``: the instance's, empty when that is cluster-scoped.

    Raises Pending, Fatal.
    """
    if not node.for_each:
        return (_placed(node, _object(node, _values(node, node.fields, bindings)), namespace),)
    lists = _lists(node, bindings)
    size = prod(map(len, lists))
    if size > limit:
        raise Fatal(f"collection size of {size} is over the maximum collection size of {limit}")
    shared = _values(node, [field for field in node.fields if not field.iterates], bindings)
    own = [field for field in node.fields if field.iterates]
    names = [dimension.name for dimension in node.for_each]
    found = []
    for item in product(*lists):
        values = _values(node, own, {**bindings, **dict(zip(names, item, strict=True))})
        found.append(_object(node, {**shared, **values}))
    placed = tuple(_placed(node, obj, namespace) for obj in found)
    _check_distinct(node, found, placed)
    return placed


def _lists(node: Node, bindings: Bindings) -> list[list[JsonValue]]:
    """One list per dimension; nothing after an empty one is looked at."""
    found = []
    for dimension in node.for_each:
        items = _items(node, dimension, bindings)
        if not items:
            return [[]]
        found.append(items)
    return found


def _items(node: Node, dimension: Dimension, bindings: Bindings) -> list[JsonValue]:
    where = f'node "{node.id}": forEach "{dimension.name}"'
    try:
        value = dimension.program.evaluate_json(bindings)
    except DataPending as pending:
        raise Pending(f"{where}: eval {quote(dimension.text)}: {pending} (data pending)") from None
    except CelError as error:
        raise Fatal(f"{where}: {verb(error)} {quote(dimension.text)}: {error}") from None
    if value is None:
        raise Fatal(f"{where}: expression {quote(dimension.text)} returned null, expected list")
    if not isinstance(value, list):
        raise Fatal(f"{where}: expression {quote(dimension.text)} did not return a list")
    return value


def _values(node: Node, fields: Sequence[TemplateField], bindings: Bindings) -> dict[FieldPath, JsonValue]:
    values = {}
    for field in fields:
        try:
            values[field.path] = field.program.evaluate_json(bindings)
        except DataPending as pending:
            text = (
                f'node "{node.id}": failed to evaluate expression: eval {quote(field.text)}: {pending} (data pending)'
            )
            raise Pending(text) from None
        except CelError as error:
            raise Fatal(f'node "{node.id}": {verb(error)} {quote(field.text)}: {error}') from None
    return values


def _object(node: Node, values: Mapping[FieldPath, JsonValue]) -> JsonObject:
    found = render(node.template, values)
    if any(field.omits for field in node.fields):
        found = without_omitted(found)
    return found


def _placed(node: Node, found: JsonObject, namespace: str) -> JsonObject:
    """With a usable name, and the instance's namespace where the object has none of its own."""
    meta = found["metadata"]
    if not node.selecting:
        _check_text(node, "metadata.name", meta.get("name"))
    if not node.resource.namespaced or meta.get("namespace"):
        if meta.get("namespace"):
            _check_text(node, "metadata.namespace", meta["namespace"])
        return found
    if node.selecting:
        return found
    if not namespace:
        text = f'node "{node.id}" is namespaced and must resolve metadata.namespace when the instance is cluster-scoped'
        raise Fatal(text)
    return {**found, "metadata": {**meta, "namespace": namespace}}


def _check_text(node: Node, path: str, value: JsonValue) -> None:
    if not isinstance(value, str) or not value:
        raise Fatal(f'node "{node.id}": {path} must be a text that is not empty, got {value!r:.40}')


def _check_distinct(node: Node, written: Sequence[JsonObject], placed: Sequence[JsonObject]) -> None:
    """The text shows the namespace as the template gives it, as kro does."""
    seen: set[tuple[str, str]] = set()
    for shown, obj in zip(written, placed, strict=True):
        name = obj["metadata"]["name"]
        identity = (obj["metadata"].get("namespace", ""), name)
        if identity in seen:
            gvk, namespace = node.resource.gvk, shown["metadata"].get("namespace", "")
            where = f"{gvk.group}/{gvk.version}/{gvk.kind}/{namespace}/{name}"
            raise Fatal(f'node "{node.id}" identity collision: duplicate identity: {where}')
        seen.add(identity)
