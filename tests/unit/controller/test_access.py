"""What a user may see of the log is what the cluster lets them get."""

from __future__ import annotations

import pytest

from kro_es.api.objects import Gvk, Resource
from kro_es.cluster.aggregation import Caller, FrontProxy
from kro_es.controller import access as looked_up
from kro_es.controller.access import Access, within
from kro_es.controller.history import addresses
from kro_es.errors import UserError
from kro_es.store.narrowed import Scope

DANA, EVE = Caller("dana", ("team",)), Caller("eve")
PODS, SHOPS = Scope("", "Pod", "a"), Scope("kro.run", "WebShop", "a")


class Cluster:
    """Rights as (user, group, resource, namespace), and what was asked."""

    def __init__(self, *rights: tuple[str, str, str, str]) -> None:
        self.rights = set(rights)
        self.asked: list[tuple[str, str, str, str]] = []
        self.now = 0.0

    async def may_get(self, caller: Caller, group: str, resource: str, namespace: str) -> bool:
        self.asked.append((caller.name, group, resource, namespace))
        return self.asked[-1] in self.rights

    async def located(self, group: str, kind: str) -> Resource | None:
        served = {("", "Pod"): "pods", ("x.dev", "Sheep"): "flock"}
        found = served.get((group, kind))
        return Resource(Gvk(group, "v1", kind), found, True) if found else None

    def access(self) -> Access:
        return Access(self.may_get, self.located, lambda: self.now)


async def test_a_right_in_all_namespaces_opens_each_of_them_with_one_review() -> None:
    cluster = Cluster(("dana", "", "pods", ""))
    scopes = [Scope("", "Pod", namespace) for namespace in ("a", "b", "c")]
    assert await cluster.access().open(DANA, scopes) == scopes
    assert cluster.asked == [("dana", "", "pods", "")]


async def test_a_right_in_a_namespace_opens_that_one() -> None:
    cluster = Cluster(("dana", "", "pods", "a"))
    scopes = [PODS, Scope("", "Pod", "b"), SHOPS, Scope("", "Pod", "")]
    assert await cluster.access().open(DANA, scopes) == [PODS]
    assert await cluster.access().open(EVE, scopes) == []


async def test_a_kind_is_asked_about_as_it_is_served_and_one_that_is_gone_by_its_likely_name() -> None:
    cluster = Cluster(("dana", "x.dev", "flock", "a"), ("dana", "kro.run", "webshops", "a"))
    sheep = Scope("x.dev", "Sheep", "a")
    assert await cluster.access().open(DANA, [sheep, SHOPS]) == [sheep, SHOPS]


async def test_an_answer_counts_for_a_few_seconds_and_for_one_user() -> None:
    cluster = Cluster(("dana", "", "pods", ""))
    access = cluster.access()
    await access.open(DANA, [PODS])
    cluster.rights.clear()
    assert await access.open(DANA, [PODS]) == [PODS]
    assert await access.open(EVE, [PODS]) == []
    assert await access.open(Caller("dana"), [PODS]) == []
    cluster.now += looked_up.KEPT_SECONDS
    assert await access.open(DANA, [PODS]) == []


async def test_too_many_namespaces_are_not_looked_up_one_by_one() -> None:
    cluster = Cluster()
    scopes = [Scope("", "Pod", str(number)) for number in range(looked_up.MOST_REVIEWS + 1)]
    with pytest.raises(UserError, match="name one with -n NAMESPACE"):
        await cluster.access().open(DANA, scopes)
    assert len(cluster.asked) == 1


async def test_the_whole_log_is_a_right_of_its_own() -> None:
    cluster = Cluster(("dana", "history.kro-es.dev", "wholelog", ""))
    assert await cluster.access().whole(DANA)
    assert not await cluster.access().whole(EVE)


@pytest.mark.parametrize("flag", [["-n", "a"], ["--namespace", "a"], ["--namespace=a"]])
def test_a_question_about_a_namespace_needs_the_rights_there_only(flag: list[str]) -> None:
    cluster_wide, other = Scope("kro.run", "ResourceGraphDefinition", ""), Scope("", "Pod", "b")
    assert within([PODS, other, cluster_wide], ["log", *flag]) == [PODS, cluster_wide]
    assert within([PODS, other, cluster_wide], ["log"]) == [PODS, other, cluster_wide]


PROXY = FrontProxy(
    "pem", frozenset({"front"}), ("x-remote-user",), ("x-remote-group",), ("x-remote-uid",), ("x-remote-extra-",)
)
HEADERS = {
    "x-remote-user": ("dana",), "x-remote-group": ("team", "system:authenticated"), "x-remote-extra-example.org%2fscopes": ("s",),
    "x-remote-uid": ("7",), "accept": ("*/*",),
}  # fmt: skip


def test_the_user_is_whom_the_front_proxy_names() -> None:
    found = PROXY.caller("front", HEADERS)
    assert found == Caller("dana", ("team", "system:authenticated"), "7", (("example.org/scopes", ("s",)),))


@pytest.mark.parametrize(("name", "headers"), [("other", HEADERS), ("", HEADERS), ("front", {"accept": ("*/*",)})])
def test_another_certificate_or_no_name_is_nobody(name: str, headers: dict[str, tuple[str, ...]]) -> None:
    assert PROXY.caller(name, headers) is None


def test_the_address_others_find_us_at() -> None:
    assert addresses("0.0.0.0:8443", "10.1.2.3") == ("0.0.0.0", 8443, "10.1.2.3")
    assert addresses("192.0.2.1:8443", "10.1.2.3") == ("192.0.2.1", 8443, "192.0.2.1")
    assert addresses("[fd00::1]:8443", "") == ("fd00::1", 8443, "fd00::1")
    with pytest.raises(UserError, match="set POD_IP"):
        addresses("0.0.0.0:8443", "")
    with pytest.raises(UserError, match="has no port: write HOST:PORT"):
        addresses("localhost", "")
