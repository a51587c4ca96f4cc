"""When the kind of a CRD is served: what the API server says of the names of the CRD decides only about one that never was."""

from __future__ import annotations

from typing import Any, cast

import pytest

from kro_es.cluster import kubernetes
from kro_es.cluster.client import ApiClient
from kro_es.cluster.kubernetes import KubernetesCluster
from kro_es.errors import ApiError

TAKEN = {"type": "NamesAccepted", "status": "False", "message": '"app" is already in use'}
ACCEPTED = {"type": "NamesAccepted", "status": "True"}
SERVED = {"type": "Established", "status": "True"}
INSTALLING = {"type": "Established", "status": "False", "reason": "Installing"}


class Answers:
    """The CRD as it is shown by one read after the other; the last stays."""

    def __init__(self, *conditions: list[dict[str, str]]) -> None:
        self._left = list(conditions)
        self.reads = 0

    async def request(self, _verb: str, _path: str, **_: Any) -> dict[str, Any]:
        self.reads += 1
        now = self._left.pop(0) if len(self._left) > 1 else self._left[0]
        return {"metadata": {"name": "apps.kro.run"}, "status": {"conditions": now}}


async def established(*conditions: list[dict[str, str]]) -> int:
    """How many reads it took."""
    answers = Answers(*conditions)
    crd = await KubernetesCluster(cast(ApiClient, answers)).wait_established("apps.kro.run")
    assert crd["status"]["conditions"] == conditions[-1]
    return answers.reads


async def test_it_is_waited_for() -> None:
    assert await established([], [ACCEPTED, INSTALLING], [ACCEPTED, SERVED]) == 3


async def test_a_kind_that_is_served_goes_on_when_a_new_short_name_is_another_ones() -> None:
    assert await established([TAKEN, SERVED]) == 1


async def test_names_of_another_kind_are_refused_at_once() -> None:
    with pytest.raises(ApiError, match='"app" is already in use'):
        await established([TAKEN, INSTALLING])


async def test_the_wait_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kubernetes, "ESTABLISHED_SECONDS", 0)
    with pytest.raises(ApiError, match="was not established"):
        await established([ACCEPTED, INSTALLING])
