"""The rows of nodes: one for each node, one more for each item of a collection, none for what ended."""

from __future__ import annotations

from kro_es.events.types import (
    Actor,
    Body,
    Event,
    InstanceGone,
    NodeReport,
    ReconcileDecided,
    ResourceApplied,
    ResourceDeleted,
    Subject,
    WriteFailed,
)
from kro_es.projections.instances import Nodes
from kro_es.projections.projection import Row


class Folded:
    """The rows after a number of events of one instance."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self._position = 0

    def add(self, body: Body, name: str = "") -> None:
        self._position += 1
        at = self._position
        subject = Subject("", "ConfigMap", "n", name, f"uid-{name}")
        actor = Actor("kro-es", "controller")
        event = Event(at, "instance/u", at, body.TYPE, 1, body, subject, actor, at, at, 0, 0, "", f"{at:032x}", "c")
        for key in Nodes().keys(event):
            row = Nodes().fold(key, self.rows.get(key), event)
            if row is None:
                self.rows.pop(key, None)
            else:
                self.rows[key] = row

    def states(self) -> dict[str, object]:
        return {str(row["node"]): row["state"] for row in self.rows.values()}


def _decided(state: str) -> ReconcileDecided:
    nodes = (NodeReport("cfg", state), NodeReport("pieces", state))
    return ReconcileDecided(at=1, position=1, inputs=(), writes=(), nodes=nodes)


def _applied(node: str) -> ResourceApplied:
    return ResourceApplied(1, 0, node, "desired", "owned", "fields", None, created=True, changed=True)


def test_an_item_has_a_row_of_its_own_and_its_collection_keeps_its_own() -> None:
    folded = Folded()
    folded.add(_decided("IN_PROGRESS"))
    folded.add(_applied("pieces/n/a"), "a")
    folded.add(WriteFailed(1, 1, "pieces/n/b", 403, "Forbidden", "no"), "b")
    folded.add(_decided("SYNCED"))
    assert folded.states() == {"cfg": "SYNCED", "pieces": "SYNCED", "pieces/n/a": "APPLIED", "pieces/n/b": "ERROR"}
    assert (folded.rows["u/pieces/n/a"]["name"], folded.rows["u/pieces/n/a"]["desired_digest"]) == ("a", "desired")
    assert folded.rows["u/pieces"]["name"] == ""
    folded.add(_applied("pieces/n/b"), "b")
    assert folded.states()["pieces/n/b"] == "APPLIED"
    folded.add(ResourceDeleted(1, 2, "pieces/n/a", gone=True), "a")
    assert set(folded.rows) == {"u/cfg", "u/pieces", "u/pieces/n/b"}


def test_nothing_is_left_of_an_instance_that_is_gone() -> None:
    folded = Folded()
    folded.add(_decided("SYNCED"))
    folded.add(_applied("pieces/n/a"), "a")
    folded.add(InstanceGone("d", ("cfg", "pieces", "pieces/n/a")))
    assert folded.rows == {}
