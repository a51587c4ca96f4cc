"""Ids, inventories and digests against the values of spec/03 §2.3."""

from __future__ import annotations

import pytest

from kro_es.api.objects import JsonObject, ObjectRef
from kro_es.plan.applyset import Inventory, applyset_id, inventory_hash, inventory_metadata, validate_inventory
from kro_es.plan.owned import digest, own_fields, owned_digest
from kro_es.plan.waves import deletion_wave, prune_order

SHOP = ObjectRef("kro.run", "WebShop", "team-a", "shop")


@pytest.mark.parametrize(
    ("ref", "expected"),
    [
        (SHOP, "applyset-xeYSLxbacMuhDHomCVJQVGtdmf-VfzCgWd9km3Mz7Js-v1"),
        (ObjectRef("kro.run", "WebShop", "", "shop"), "applyset-GLN5rfdCjQ59W4ZlsO3W3oyq5RihmCnuqEWU6Lk5zK8-v1"),
        (ObjectRef("kro.run", "WebShop", "team-b", "shop"), "applyset-7sPop3zKK7POdA0Iv5ddqel-xBStK0Fy6a7yIQL6cWg-v1"),
        (
            ObjectRef("example.com", "WebShop", "team-a", "shop"),
            "applyset-_bywxX1-8XSQFMRhryheXCXgYkIhZlqOxua1xQWl1RA-v1",
        ),
    ],
)
def test_the_id_is_the_wire_contract(ref: ObjectRef, expected: str) -> None:
    assert applyset_id(ref) == expected


@pytest.mark.parametrize(
    ("kinds", "namespaces", "expected"),
    [
        ((), (), "sha256:zCufuXwTWFexmueL-_l8ItRPEhz1XlegMcSBcOkF6vw"),
        (("Service", "ConfigMap", "Deployment.apps"), (), "sha256:2HpAc45CMqd5tFIbMSGpEBpo1DlrVodWlKgLT3rHy50"),
        (("ConfigMap", "Deployment.apps"), ("team-c", "team-b"), "sha256:-V2q2nPhJWNoa4CeVS0usgBLhMhMgB5Qx7eHktg14Cc"),
    ],
)
def test_the_inventory_hash_is_the_wire_contract(
    kinds: tuple[str, ...], namespaces: tuple[str, ...], expected: str
) -> None:
    assert inventory_hash(applyset_id(SHOP), Inventory(frozenset(kinds), frozenset(namespaces))) == expected


def _parent(**annotations: str) -> JsonObject:
    found = Inventory(frozenset({"ConfigMap"}), frozenset())
    labels, mine = inventory_metadata(found, applyset_id(SHOP), "v1.2.3")
    return {"metadata": {"labels": labels, "annotations": mine | annotations}}


def test_a_parent_we_wrote_is_valid() -> None:
    assert validate_inventory(_parent(), applyset_id(SHOP)) is None


def test_an_edited_inventory_names_the_hash() -> None:
    edited = _parent(**{"applyset.kubernetes.io/contains-group-kinds": "Secret"})
    fault = validate_inventory(edited, applyset_id(SHOP))
    assert fault is not None
    assert fault.startswith("invalid internal.kro.run/applyset-inventory-hash annotation")


def _live(data: JsonObject, version: str = "1") -> JsonObject:
    fields = {"f:data": {"f:a": {}}, "f:spec": {"f:ports": {'k:{"port":80}': {".": {}, "f:name": {}}}}}
    return {
        "metadata": {
            "labels": {"kro.run/kro-version": version},
            "managedFields": [{"manager": "kro.run/applyset", "operation": "Apply", "fieldsV1": fields}],
        },
        "data": data,
        "spec": {"ports": [{"port": 443, "name": "theirs"}, {"port": 80, "name": "ours"}]},
    }


def test_only_our_fields_count() -> None:
    live = _live({"a": "1"})
    fields = own_fields(live, "kro.run/applyset")
    assert fields is not None
    before = owned_digest(live, fields)
    assert owned_digest(_live({"a": "1", "b": "theirs"}), fields) == before
    assert owned_digest(_live({"a": "2"}), fields) != before
    assert owned_digest(_live({}), fields) != owned_digest(_live({"a": None}), fields)


def test_our_version_label_is_outside_the_digest() -> None:
    assert digest(_live({"a": "1"}, "1")) == digest(_live({"a": "1"}, "2"))


def _member(name: str, order: str, node: str = "") -> JsonObject:
    return {
        "metadata": {
            "name": name,
            "annotations": {"internal.kro.run/apply-order": order},
            "labels": {"kro.run/node-id": node},
        }
    }


def test_members_without_a_valid_order_go_last_together() -> None:
    members = [_member("a", "1"), _member("b", "3"), _member("c", "x"), _member("d", "-2")]
    assert [obj["metadata"]["name"] for obj in deletion_wave(members)] == ["b"]
    assert [obj["metadata"]["name"] for obj in deletion_wave(members[2:])] == ["c", "d"]


def test_a_prune_takes_unknown_nodes_first_and_then_dependents() -> None:
    orphans = [_member("base", "1", "base"), _member("gone", "1", "gone"), _member("top", "2", "top")]
    names = [obj["metadata"]["name"] for obj in prune_order(orphans, {"base": 0, "top": 1})]
    assert names == ["gone", "top", "base"]
