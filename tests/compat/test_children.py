"""Objects that are not recorded, or not kept by the server, as they were written: seen once, and no reason to go on writing."""

from __future__ import annotations

from tests.contract.instances.shapes import CFG, cm, rgd, shop
from tests.support.inside import Inside, Object

GADGETS: Object = {
    "id": "gadgets",
    "template": {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "gadgets.acme.io"},
        "spec": {
            "group": "acme.io",
            "scope": "Namespaced",
            "names": {"kind": "Gadget", "listKind": "GadgetList", "plural": "gadgets", "singular": "gadget"},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": {"type": "object"}}}},
                }
            ],
        },
    },
}


async def test_a_custom_resource_definition_may_be_a_child(inside: Inside) -> None:
    await inside.define(rgd(GADGETS))
    await inside.create(shop())
    assert inside.state() == "ACTIVE"
    assert inside.writes().count(("apply", "CustomResourceDefinition", "gadgets.acme.io")) == 1
    foreign = {"spec": {"names": {"singular": "thing"}}}
    await inside.edit("CustomResourceDefinition", "gadgets.acme.io", foreign)
    assert inside.get("CustomResourceDefinition", "gadgets.acme.io")["spec"]["names"]["singular"] == "gadget"
    assert inside.writes().count(("apply", "CustomResourceDefinition", "gadgets.acme.io")) == 2


async def test_a_status_field_the_server_does_not_keep_is_not_written_again_and_again(inside: Inside) -> None:
    def prune(obj: Object) -> None:
        obj.get("status", {}).pop("color", None)

    inside.server.mutate = prune
    await inside.define(rgd(CFG, status={"color": "${cfg.data.color}"}))
    await inside.create(shop(color="red"))
    assert inside.state() == "ACTIVE"
    assert inside.writes().count(("put", "WebShop", "shop")) <= 2
    assert not inside.retrying


async def test_a_child_whose_labels_name_another_instance_still_wakes_its_own(inside: Inside) -> None:
    await inside.define(rgd(cm("p"), cm("q", {"p": "${p.metadata.name}"})))
    await inside.create(shop())
    await inside.edit("ConfigMap", "shop-q", {"metadata": {"finalizers": ["acme.io/hold"]}})
    await inside.delete("WebShop", "shop")
    await inside.edit("ConfigMap", "shop-q", {"metadata": {"labels": {"kro.run/instance-group": "acme.io"}}})
    await inside.restart()
    await inside.edit("ConfigMap", "shop-q", {"metadata": {"finalizers": []}})
    assert (inside.names("WebShop"), inside.names("ConfigMap")) == ([], [])
