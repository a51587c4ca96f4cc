"""What ``kro-history doctor`` tells of instances and definitions that are stuck: the cause first, each thing once."""

from __future__ import annotations

from typing import Any

import pytest

from kro_es.cli import history as program
from kro_es.cli import history_state
from kro_es.errors import ApiError
from tests.contract.instances.shapes import cm, rgd, shop
from tests.contract.instances.test_collections import PIECES
from tests.contract.instances.test_refusals import break_calls, failing
from tests.support.inside import Inside

X = {"id": "platform", "externalRef": {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "site"}}}
READER = cm("alpha", {"v": "${platform.data.v}"})
LAST = cm("beta", {"v": "${alpha.data.v}"})


@pytest.fixture
def asked(inside: Inside, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """``asked("doctor", "webshop/shop")``: the exit code and the lines."""
    monkeypatch.setattr(history_state, "clock", lambda: inside.server.now + 60_000_000)
    monkeypatch.setenv("KRO_ES_CONFIG", "/nowhere/history.toml")

    def ask(*words: str) -> tuple[int, list[str]]:
        monkeypatch.setattr("sys.argv", ["kro-history", "--database", inside.url, "--utc", *words])
        capfd.readouterr()
        code = program.run()
        return code, capfd.readouterr().out.splitlines()

    return ask


async def edit(inside: Inside, wanted: dict[str, Any]) -> None:
    """As somebody does who did not try it before: it may be refused."""
    live = inside.get("ResourceGraphDefinition", wanted["metadata"]["name"])
    inside.server.update({**live, "spec": wanted["spec"]})
    await inside.rest()


async def test_a_ready_collection_keeps_nobody_waiting(inside: Inside, asked: Any) -> None:
    await inside.define(rgd(PIECES))
    await inside.create(shop(names=["a", "b"]))
    code, lines = asked("doctor", "webshop/shop")
    assert (code, inside.state()) == (0, "ACTIVE")
    assert [line for line in lines if "waits" in line] == []
    table = [line.split() for line in asked("graph", "webshop/shop")[1] if line.startswith("pieces/")]
    assert [(row[1], row[-1]) for row in table] == [("configmap/shop-a", "1"), ("configmap/shop-b", "1")]


async def test_the_cause_comes_first_with_its_object_and_who_waits_for_it_in_one_line(
    inside: Inside, asked: Any
) -> None:
    await inside.define(rgd(READER, LAST, X))
    await inside.create(shop())
    code, lines = asked("doctor", "webshop/shop")
    assert code == 2
    assert lines[1].startswith("waits for platform (configmap/site), WAITING_FOR_READINESS for ")
    assert lines[2] == '  waiting for external reference "platform": not found'
    assert lines[3] == "waiting for these in turn: alpha (for platform), beta (for alpha)"
    assert sum("not found" in line for line in lines) == 1
    assert [line for line in lines if "()" in line] == []


async def test_a_write_refused_again_and_again_is_one_error_with_its_count(inside: Inside, asked: Any) -> None:
    await inside.define(rgd(cm("cfg", {"color": "${schema.spec.color}"})))
    break_calls(inside, failing("apply", kind="ConfigMap", error=ApiError(422, "Invalid", "the name is too long")))
    await inside.create(shop(color="red"))
    await inside.pass_time()
    code, lines = asked("doctor", "webshop/shop")
    assert code == 2
    assert sum("the name is too long" in line for line in lines) == 1
    (error,) = [line for line in lines if line.startswith("error ")]
    assert error.endswith("2 times: configmap/shop-cfg: 422 Invalid")


async def test_a_definition_tells_the_faults_of_its_refused_edit(inside: Inside, asked: Any) -> None:
    await inside.define(rgd(cm("cfg")))
    await inside.create(shop(color="red"))
    assert asked("doctor", "webshop-rgd") == (0, ["webshop-rgd: Active, revision 1 active, 1 of 1 instance(s) ready"])
    await edit(inside, rgd(cm("cfg", {"color": "${schema.spec.colour}"})))
    code, lines = asked("doctor", "webshop-rgd")
    assert code == 2
    assert lines[1] == "its last edit was refused"
    assert "undefined field 'colour'" in lines[2]
    await inside.define(rgd(cm("cfg", {"color": "${schema.spec.color}"})))
    code, lines = asked("doctor", "webshop-rgd")
    assert (code, lines) == (0, ["webshop-rgd: Active, revision 2 active, 1 of 1 instance(s) ready"])


async def test_a_definition_tells_which_instances_are_not_ready_and_why(inside: Inside, asked: Any) -> None:
    await inside.define(rgd(X, READER))
    await inside.create(shop())
    code, lines = asked("doctor", "webshop-rgd")
    assert code == 2
    assert lines[0].endswith("0 of 1 instance(s) ready")
    assert lines[1].startswith("webshop team-a/shop: IN_PROGRESS for ")
    assert 'external reference "platform": not found' in lines[2]
    assert lines[3] == "more: kro-history doctor webshop/shop -n team-a"


async def test_a_breaking_edit_that_waits_is_told_with_its_reason(inside: Inside, asked: Any) -> None:
    await inside.define(rgd(cm("cfg", {"color": "${schema.spec.color}"})))
    await inside.create(shop(color="red"))
    edited = rgd(cm("cfg", {"color": "${schema.spec.paint}"}))
    fields = edited["spec"]["schema"]["spec"]
    fields["paint"] = fields.pop("color")
    await edit(inside, edited)
    code, lines = asked("doctor", "webshop-rgd")
    assert code == 2
    assert "revision 1 active (the newest is 2)" in lines[0]
    assert any("KindReady=False" in line and "Property color was removed" in line for line in lines)
    code, lines = asked("doctor", "webshop/shop")
    assert (code, any("definition webshop-rgd: KindReady=False" in line for line in lines)) == (0, True)
