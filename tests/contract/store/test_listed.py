"""Events by what they are about and who did it: the same on both databases, however they are looked for."""

from __future__ import annotations

import pytest

from kro_es.history import timeline
from kro_es.history.source import open_history
from kro_es.history.timeline import Filters
from tests.support.incident import END, write_incident


@pytest.mark.parametrize("newest", [1, 10_000])
def test_events_that_fit_are_listed(url: str, monkeypatch: pytest.MonkeyPatch, newest: int) -> None:
    monkeypatch.setattr(timeline, "_NEWEST", newest)
    history = open_history(write_incident(url), END)
    found = {
        filters: [row["position"] for row in timeline.listed(history, filters).rows]
        for filters in (
            Filters(actor="dana"),
            Filters(kind="configmap", actor="kubectl-edit"),
            Filters(type="write.failed"),
            Filters(name="docs", kind="WebShop", limit=2),
            Filters(name="docs", kind="Service"),
            Filters(kind="deployment", until=60, limit=1),
        )
    }
    history.close()
    assert list(found.values()) == [[137, 139], [133], [102], [179, 180], [], [59]]
