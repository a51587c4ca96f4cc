"""What kro left in a cluster is taken over as it is: no object is written for how it was written down."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from kro_es.plan.owned import own_fields
from tests.compat.test_empty_log import versions, with_an_empty_log
from tests.contract.instances.shapes import cm, rgd, shop
from tests.support.inside import Inside, Object

A = cm("a", {"v": "${schema.spec.color}"})
B = cm("b", {"v": "x"})
READER = cm("reader", {"both": "${a.data.v + b.data.v}"})


async def test_what_the_server_writes_in_another_way_is_not_written_again(
    inside: Inside, database_template: Path, tmp_path: Path
) -> None:
    def normalise(obj: Object) -> None:
        if obj.get("data", {}).get("v") == "0.5":
            obj["data"]["v"] = "500m"

    inside.server.mutate = normalise
    await inside.define(rgd(A))
    await inside.create(shop(color="0.5"))
    assert inside.data("shop-a") == {"v": "500m"}
    before = versions(inside)
    inside.settings = replace(inside.settings, label_version="0.9.9")
    await with_an_empty_log(inside, database_template, tmp_path / "other.db")
    assert versions(inside) == before
    await inside.edit("WebShop", "shop", {"spec": {"color": "red"}})
    assert inside.data("shop-a") == {"v": "red"}
    assert inside.get("ConfigMap", "shop-a")["metadata"]["labels"]["kro.run/kro-version"] == "0.9.9"


async def test_the_order_of_dependencies_is_no_reason_to_write_a_status(
    inside: Inside, database_template: Path, tmp_path: Path
) -> None:
    await inside.define(rgd(A, B, READER))
    (node,) = inside.get("ResourceGraphDefinition", "webshop-rgd")["status"]["resources"]
    assert node == {"id": "reader", "dependencies": [{"id": "a"}, {"id": "b"}]}
    other = {"resources": [{"id": "reader", "dependencies": [{"id": "b"}, {"id": "a"}]}]}
    await inside.end()
    inside.server.patch(inside.ref("ResourceGraphDefinition", "webshop-rgd"), {"status": other}, "kro", status=True)
    before = versions(inside)
    await with_an_empty_log(inside, database_template, tmp_path / "other.db")
    assert versions(inside) == before


def test_string_data_of_a_secret_is_owned_as_data() -> None:
    fields = {"f:type": {}, "f:data": {"f:a": {}}, "f:stringData": {"f:b": {}}}
    entry = {"manager": "kro.run/applyset", "operation": "Apply", "fieldsType": "FieldsV1", "fieldsV1": fields}
    secret: Object = {"kind": "Secret", "metadata": {"managedFields": [entry]}}
    assert own_fields(secret, "kro.run/applyset") == {"f:type": {}, "f:data": {"f:a": {}, "f:b": {}}}
    assert own_fields({**secret, "kind": "ConfigMap"}, "kro.run/applyset") == fields
