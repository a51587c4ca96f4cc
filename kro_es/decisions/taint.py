"""Which leaves of an observed object are redacted: known per node before the first object of it is watched."""

from __future__ import annotations

from kro_es.api import metadata
from kro_es.api.objects import JsonObject, labels
from kro_es.api.sensitive import Path, Rule, holds
from kro_es.events.redaction import paths_of
from kro_es.projections.projection import Row


class Taints:
    """Redacted paths by instance kind and node; only ever grows, since an old object may still carry an old value."""

    def __init__(self, rules: tuple[Rule, ...] = ()) -> None:
        self._rules = rules
        self._paths: dict[tuple[str, str, str], frozenset[Path]] = {}

    def under(self, rules: tuple[Rule, ...]) -> Taints:
        """The same paths, those learned later too, under other rules."""
        found = Taints(rules)
        found._paths = self._paths
        return found

    def learn(self, group: str, kind: str, tainted: dict[str, list[list[str | int]]]) -> None:
        """``tainted``: node id (``status`` for the instance's status) to paths, as a revision records them."""
        for node, paths in tainted.items():
            key = (group, kind, node)
            self._paths[key] = self._paths.get(key, frozenset()) | {tuple(path) for path in paths}

    def learn_row(self, row: Row) -> None:
        self.learn(str(row["instance_group"]), str(row["instance_kind"]), row["tainted"])  # type: ignore[arg-type]

    def paths(self, obj: JsonObject) -> tuple[Path, ...]:
        """Redacted paths of an object, from its kind and the labels that say which node it is."""
        group, kind, found = obj["apiVersion"].rpartition("/")[0], obj["kind"], labels(obj)
        of_node = self._paths.get(
            (
                found.get(metadata.INSTANCE_GROUP, ""),
                found.get(metadata.INSTANCE_KIND, ""),
                found.get(metadata.NODE_ID, ""),
            )
        )
        of_status = self._paths.get((group, kind, "status"))
        # as it is with nearly every object, and asked several times of each
        if not of_node and not of_status and not self._rules:
            return paths_of(kind, group)
        tainted = (of_node or frozenset()) | (of_status or frozenset())
        ruled = [rule.path for rule in self._rules if rule.covers(group, kind) and holds(obj, rule.path)]
        return paths_of(kind, group, (*sorted(tainted, key=str), *ruled))
