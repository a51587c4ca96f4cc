"""Spec/03 §17, scenarios 47 to 55: objects that were there, hands in our objects, and writes the server refuses."""

from __future__ import annotations

from typing import Any

from kro_es.api.objects import Gvk
from kro_es.errors import ApiError
from kro_es.events.types import ReconcileDecided, ResourceApplied, WriteFailed
from tests.contract.instances.shapes import CFG, cm, rgd, shop
from tests.contract.instances.test_ordering import database
from tests.support.inside import Inside

PART_OF = "applyset.kubernetes.io/part-of"
APPLYSET = "applyset-xeYSLxbacMuhDHomCVJQVGtdmf-VfzCgWd9km3Mz7Js-v1"


def found_there(name: str = "shop-cfg", **data: str) -> dict[str, Any]:
    meta = {"name": name, "namespace": "team-a"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}


async def test_47_an_object_of_nobody_is_adopted_and_what_it_was_is_recorded(inside: Inside) -> None:
    await inside.define(rgd(CFG))
    await inside.create(found_there(color="green", mine="kept"))
    await inside.create(shop(color="red"))
    assert inside.data("shop-cfg") == {"color": "red", "mine": "kept"}
    assert inside.get("ConfigMap", "shop-cfg")["metadata"]["labels"][PART_OF] == APPLYSET
    forced = [call.force for call in inside.calls if call.verb == "apply" and call.ref.name == "shop-cfg"]
    assert forced == [False, True]
    events = inside.events()
    applied = next(event.body for event in events if isinstance(event.body, ResourceApplied))
    assert (applied.adopted, applied.created) == (("kubectl",), False)
    before = [e.body.object["data"] for e in events if e.type == "object.observed" and e.subject.name == "shop-cfg"]
    assert before == [{"color": "green", "mine": "kept"}, {"color": "red", "mine": "kept"}]
    await inside.delete("WebShop", "shop")
    assert inside.names("ConfigMap") == []


async def test_47_an_object_of_nobody_that_agrees_is_adopted_too(inside: Inside) -> None:
    await inside.define(rgd(CFG))
    await inside.create(found_there(color="red"))
    await inside.create(shop(color="red"))
    assert inside.state() == "ACTIVE"
    applied = next(event.body for event in inside.events() if isinstance(event.body, ResourceApplied))
    assert applied.adopted == ("kubectl",)


SHARED = cm("cfg", {"of": "${schema.metadata.name}"}, name="shared")
THEIRS = "applyset-cxXEyxI4lAMNE6nEuvL8PIJSz_iyJS5vXnJ5C5f5aXk-v1"


async def test_48_an_object_of_another_instance_is_left_alone_until_that_is_gone(inside: Inside) -> None:
    await inside.define(rgd(SHARED, cm("own"), cm("old")))
    await inside.create(shop("first"))
    await inside.create(shop())
    theirs = inside.get("ConfigMap", "shared")["metadata"]["labels"][PART_OF]
    assert inside.data("shared") == {"of": "first"}
    assert (inside.state(), inside.state("first")) == ("ERROR", "ACTIVE")
    assert inside.message() == (
        "resource reconciliation failed: apply results contain errors: resource belongs to a different ApplySet: "
        f'team-a/shared (/v1, Kind=ConfigMap) belongs to ApplySet "{theirs}", cannot reassign to "{APPLYSET}"'
    )
    assert "shop-own" in inside.names("ConfigMap")
    assert not [event for event in inside.events() if isinstance(event.body, WriteFailed)], "it was not even tried"
    await inside.define(rgd(SHARED, cm("own")))
    assert "shop-old" in inside.names("ConfigMap"), "nothing is pruned while an apply fails"
    await inside.delete("WebShop", "first")
    await inside.pass_time()
    assert (inside.data("shared"), inside.state()) == ({"of": "shop"}, "ACTIVE")
    assert "shop-old" not in inside.names("ConfigMap")


async def test_48_two_instances_that_come_at_once_do_not_both_get_the_object(inside: Inside) -> None:
    await inside.define(rgd(SHARED))
    await inside.create(shop("one"), shop("two"))
    inside.server.create(shop("three"))
    inside.server.create(shop("four"))
    await inside.rest()
    states = sorted(inside.state(name) for name in ("one", "two", "three", "four"))
    assert states == ["ACTIVE", "ERROR", "ERROR", "ERROR"]


async def test_48_a_label_of_another_set_on_an_object_never_seen_before_is_respected(inside: Inside) -> None:
    await inside.define(rgd(CFG))
    theirs = found_there(color="green")
    theirs["metadata"]["labels"] = {PART_OF: "applyset-of-kubectl-v1"}
    inside.server.held.add("/ConfigMap")
    inside.server.create(theirs)
    inside.server.create(shop(color="red"))
    await inside.rest()
    assert inside.data("shop-cfg") == {"color": "green"}
    assert 'belongs to ApplySet "applyset-of-kubectl-v1"' in inside.message()


async def test_49_a_changed_value_is_restored_and_the_ledger_says_what_and_who(inside: Inside) -> None:
    await inside.define(rgd(CFG))
    await inside.create(shop(color="red"))
    before = inside.get("WebShop", "shop")["metadata"]["resourceVersion"]
    await inside.edit("ConfigMap", "shop-cfg", {"data": {"color": "green"}}, manager="mallory")
    assert inside.data("shop-cfg") == {"color": "red"}
    drift = [e.body.drift for e in inside.events() if isinstance(e.body, ReconcileDecided) and e.body.drift]
    assert drift == [({"node": "cfg", "path": "data.color", "from": "red", "to": "green", "manager": "mallory"},)]
    assert inside.get("WebShop", "shop")["metadata"]["resourceVersion"] == before, "Ready never was false"


async def test_49_a_label_that_was_taken_away_is_put_back(inside: Inside) -> None:
    await inside.define(rgd(CFG))
    await inside.create(shop(color="red"))
    for name in ("tier", "kro.run/node-id", PART_OF, "kro.run/instance-id"):
        before = inside.get("ConfigMap", "shop-cfg")["metadata"]["labels"]
        await inside.edit("ConfigMap", "shop-cfg", {"metadata": {"labels": {name: None}}})
        assert inside.get("ConfigMap", "shop-cfg")["metadata"]["labels"] == before, name
    assert inside.state() == "ACTIVE"


async def test_50_a_key_of_others_is_kept_and_nothing_is_written(inside: Inside) -> None:
    await inside.define(rgd(CFG))
    await inside.create(shop(color="red"))
    calls = len(inside.calls)
    await inside.edit("ConfigMap", "shop-cfg", {"data": {"extra": "1"}})
    assert inside.data("shop-cfg") == {"color": "red", "extra": "1"}
    assert inside.calls[calls:] == []


async def test_51_a_deleted_child_is_made_again_and_its_dependent_follows(inside: Inside) -> None:
    await inside.define(rgd(cm("a"), cm("b", {"uid": "${a.metadata.uid}"}), cm("old")))
    await inside.create(shop())
    await inside.delete("ConfigMap", "shop-a")
    assert inside.data("shop-b") == {"uid": inside.get("ConfigMap", "shop-a")["metadata"]["uid"]}
    assert (inside.state(), "shop-old" in inside.names("ConfigMap")) == ("ACTIVE", True)


async def test_52_a_denied_child_is_told_and_heals_by_itself(inside: Inside) -> None:
    await inside.define(rgd(CFG, cm("other")))

    def deny(verb: str, obj: dict[str, Any]) -> ApiError | None:
        if obj["metadata"]["name"] == "shop-cfg":
            return ApiError(403, "Forbidden", 'configmaps "shop-cfg" is forbidden: no red ones')
        return None

    inside.server.refuse = deny
    await inside.create(shop(color="red"))
    assert inside.state() == "ERROR"
    assert inside.message() == (
        'resource reconciliation failed: apply results contain errors: configmaps "shop-cfg" is forbidden: no red ones'
    )
    assert inside.names("ConfigMap") == ["shop-other"]
    status = inside.get("WebShop", "shop")
    await inside.pass_time()
    await inside.pass_time()
    assert inside.get("WebShop", "shop") == status, "nothing flaps while it is denied"
    inside.server.refuse = lambda verb, obj: None
    await inside.pass_time()
    assert (inside.state(), inside.names("ConfigMap")) == ("ACTIVE", ["shop-cfg", "shop-other"])


async def test_53_an_immutable_field_is_an_error_and_the_object_stays(inside: Inside) -> None:
    node = {**CFG, "template": {**CFG["template"], "immutable": True}}
    await inside.define(rgd(node))
    await inside.create(shop(color="red"))
    await inside.edit("WebShop", "shop", {"spec": {"color": "blue"}})
    assert (inside.state(), inside.data("shop-cfg")) == ("ERROR", {"color": "red"})
    assert "field is immutable when `immutable` is set" in inside.message()
    assert inside.retrying
    await inside.edit("WebShop", "shop", {"spec": {"color": "red"}})
    assert inside.state() == "ACTIVE"


async def test_54_a_field_that_left_the_template_leaves_the_child_and_others_stay(inside: Inside) -> None:
    await inside.define(rgd(cm("cfg", {"color": "red", "extra": "1"})))
    await inside.create(shop())
    await inside.edit("ConfigMap", "shop-cfg", {"data": {"theirs": "2"}}, manager="somebody")
    await inside.define(rgd(cm("cfg", {"color": "red"})))
    assert inside.data("shop-cfg") == {"color": "red", "theirs": "2"}


async def test_55_a_kind_that_is_no_longer_served_hurts_only_its_instances(inside: Inside) -> None:
    await inside.define(rgd(database(), cm("x", {"c": "${schema.spec.color}"})), rgd(CFG, name="other", kind="Other1"))
    await inside.create(shop(color="1"), shop("o", "Other1", color="1"))
    assert inside.state() == "ACTIVE"
    gvk = Gvk("db.test", "v1", "Database")
    inside.server.erase(inside.ref("Database", "shop-db"))
    inside.server.uninstalled.add(gvk)
    await inside.rest()
    assert inside.state() in ("ERROR", "IN_PROGRESS")
    assert inside.retrying
    await inside.edit("WebShop", "shop", {"spec": {"color": "2"}})
    await inside.edit("Other1", "o", {"spec": {"color": "2"}})
    assert (inside.data("o-cfg"), inside.state("o", "Other1")) == ({"color": "2"}, "ACTIVE")
    await inside.delete("WebShop", "shop")
    await inside.pass_time()
    assert inside.names("WebShop") == []
