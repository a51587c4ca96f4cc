"""A cluster that another controller converged, met with an empty log: what was served goes on being served."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.contract.instances.shapes import CFG, rgd, shop
from tests.support.inside import Inside, Object, copied

BROKEN = {"id": "broken", "template": {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "${nobody.x}"}}}


def condition(inside: Inside, type_: str) -> tuple[str, str, int]:
    obj = inside.get("ResourceGraphDefinition", "webshop-rgd")
    found: Object = {item["type"]: item for item in obj["status"]["conditions"]}[type_]
    return found["status"], found["message"], found["observedGeneration"]


def versions(inside: Inside) -> dict[str, int]:
    """Of everything but Kubernetes Events."""
    return {key: version for key, version in inside.versions().items() if "Event/" not in key}


async def with_an_empty_log(inside: Inside, template: Path, path: Path) -> None:
    await inside.end()
    inside.url = f"sqlite:///{copied(template, path)}"
    inside.settings = replace(inside.settings, database=inside.url)
    await inside.start()


async def test_a_refused_edit_leaves_the_revision_before_it_in_force(
    inside: Inside, database_template: Path, tmp_path: Path
) -> None:
    await inside.define(rgd(CFG))
    await inside.create(shop(color="red"))
    await inside.edit("ResourceGraphDefinition", "webshop-rgd", {"spec": rgd(CFG, BROKEN)["spec"]})
    assert condition(inside, "GraphRevisionsResolved") == ("True", "revision 1 compiled and active", 2)
    assert condition(inside, "GraphAccepted")[0] == "False"
    before = versions(inside)
    await with_an_empty_log(inside, database_template, tmp_path / "other.db")
    assert versions(inside) == before
    await inside.edit("WebShop", "shop", {"spec": {"color": "blue"}})
    assert inside.data("shop-cfg") == {"color": "blue"}
    assert inside.state() == "ACTIVE"


async def test_of_several_revisions_the_one_whose_api_is_installed_is_in_force(
    inside: Inside, database_template: Path, tmp_path: Path
) -> None:
    await inside.define(rgd(CFG))
    await inside.create(shop(color="red"))
    changed = rgd(CFG)
    changed["spec"]["schema"]["spec"]["color"] = "integer"
    changed["spec"]["resources"] = []
    await inside.edit("ResourceGraphDefinition", "webshop-rgd", {"spec": changed["spec"]})
    assert condition(inside, "KindReady")[0] == "False"
    assert inside.names("GraphRevision") == ["webshop-rgd-r00001", "webshop-rgd-r00002"]
    before = versions(inside)
    await with_an_empty_log(inside, database_template, tmp_path / "other.db")
    await inside.edit("WebShop", "shop", {"spec": {"color": "blue"}})
    assert inside.data("shop-cfg") == {"color": "blue"}
    assert inside.names("GraphRevision") == ["webshop-rgd-r00001", "webshop-rgd-r00002"]
    changed = [key for key, version in before.items() if versions(inside)[key] != version]
    # the status of the definition may tell more, or in other words
    assert [key for key in changed if "ResourceGraphDefinition/" not in key and "WebShop/" not in key] == [
        "/ConfigMap/team-a/shop-cfg"
    ]
