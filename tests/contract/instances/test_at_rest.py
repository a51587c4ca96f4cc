"""What the log keeps of an instance that cannot get on: changes, never repetitions (spec/03 §15)."""

from __future__ import annotations

from collections import Counter

from tests.contract.instances.shapes import CFG, cm, rgd, shop
from tests.contract.instances.test_ordering import database, set_status
from tests.contract.instances.test_refusals import break_calls, failing
from tests.support.inside import Inside


def growth(inside: Inside, since: int) -> Counter[str]:
    return Counter(event.type for event in inside.events()[since:])


async def test_a_retry_records_its_attempt_and_no_state(inside: Inside) -> None:
    await inside.define(rgd(CFG, cm("other")))
    break_calls(inside, failing("apply", kind="ConfigMap"))
    await inside.create(shop(color="red"))
    assert inside.state() == "ERROR"
    length, version = len(inside.events()), inside.versions()
    [instance] = inside.rows("instances").values()
    nodes = inside.rows("nodes")
    for _ in range(4):
        await inside.pass_time()
    assert growth(inside, length) == {"reconcile.decided": 4, "write.failed": 8}
    assert inside.versions() == version
    [later] = inside.rows("instances").values()
    assert (later["state"], later["since"], later["message"]) == ("ERROR", instance["since"], instance["message"])
    since = {key: (row["state"], row["reason"], row["since"]) for key, row in nodes.items()}
    assert {key: (row["state"], row["reason"], row["since"]) for key, row in inside.rows("nodes").items()} == since
    assert {row["state"] for row in nodes.values()} == {"ERROR"}


async def test_another_try_after_an_edit_is_a_change(inside: Inside) -> None:
    await inside.define(rgd(CFG))
    break_calls(inside, failing("apply", kind="ConfigMap"))
    await inside.create(shop(color="red"))
    length = len(inside.events())
    await inside.edit("WebShop", "shop", {"spec": {"color": "blue"}})
    assert growth(inside, length)["instance.settled"] == 1


async def test_an_error_of_the_definition_is_recorded_once(inside: Inside) -> None:
    await inside.define(rgd(cm("mon", includeWhen=["${schema.spec.mon}"])))
    await inside.create(shop())
    length = len(inside.events())
    for _ in range(4):
        await inside.pass_time()
    assert inside.retrying
    assert growth(inside, length) == {}


async def test_a_deletion_that_is_refused_records_its_attempts_only(inside: Inside) -> None:
    await inside.define(rgd(CFG))
    await inside.create(shop(color="red"))
    break_calls(inside, failing("delete"))
    await inside.delete("WebShop", "shop")
    length, version = len(inside.events()), inside.versions()
    for _ in range(3):
        await inside.pass_time()
    assert growth(inside, length) == {"reconcile.decided": 3, "write.failed": 3, "write.unsent": 3}
    assert inside.versions() == version


async def test_a_node_that_waits_for_something_else_is_told_though_the_status_stays(inside: Inside) -> None:
    """The condition tells the first pending node only; the log tells every node and since when."""
    second = cm("b", {"n": "${string(db.status.n)}", "v": "${db.status.endpoint}"})
    await inside.define(rgd(database(), cm("a", {"v": "${db.status.endpoint}"}), second))
    await inside.create(shop())
    await set_status(inside, ready=True)

    def waits() -> tuple[str, int]:
        row = next(row for row in inside.rows("nodes").values() if row["node"] == "b")
        return str(row["reason"]).rpartition("eval ")[2], int(row["since"])

    text, since = waits()
    assert text == '"string(db.status.n)": no such key: n (data pending)'
    shown = inside.get("WebShop", "shop")
    await set_status(inside, n=1)
    assert waits() == ('"db.status.endpoint": no such key: endpoint (data pending)', since)
    assert inside.get("WebShop", "shop") == shown
