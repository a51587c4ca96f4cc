"""Where values of Secrets may end up: what is marked here is never recorded in clear."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from kro_es.api import sensitive
from kro_es.api.objects import Gvk
from kro_es.api.sensitive import Glob, Rule
from kro_es.cel.references import Read
from kro_es.cel.types import escape
from kro_es.graph.fieldpath import FieldPath

SECRET = Gvk("", "v1", "Secret")
_VALUES: tuple[FieldPath, ...] = (("data",), ("stringData",))
_LAST_APPLIED: FieldPath = ("metadata", "annotations", "kubectl.kubernetes.io/last-applied-configuration")
"""kubectl keeps a copy of the whole object here."""


def own_paths(gvk: Gvk, rules: Iterable[Rule] = ()) -> tuple[FieldPath, ...]:
    """Where objects of a kind hold secret values, by nature or by a rule."""
    return (*(_VALUES if gvk == SECRET else ()), *sensitive.own_paths(rules, gvk))


def holds_values(gvk: Gvk, path: FieldPath, rules: Iterable[Rule] = ()) -> bool:
    """Whether a field of this kind is a secret value, or holds one."""
    return any(overlap(own, path) for own in own_paths(gvk, rules))


def reads_tainted(reads: Iterable[Read], tainted: Mapping[str, tuple[FieldPath, ...]]) -> bool:
    """Whether any read touches a tainted path: at it, below it, or above it, since what is above contains it."""
    return any(overlap(path, read.path) for read in reads for path in _with_copies(tainted.get(read.root, ())))


def _with_copies(paths: tuple[FieldPath, ...]) -> tuple[FieldPath, ...]:
    return (*paths, _LAST_APPLIED) if paths else ()


def overlap(path: FieldPath, other: FieldPath) -> bool:
    """Whether one is a prefix of the other; a list index stands for every item."""
    return all(_same(step, name) for step, name in zip(path, other, strict=False))


def _same(step: str | int, name: str | int) -> bool:
    """Expressions may write a property by its key or by its escaped name."""
    if isinstance(step, int) or isinstance(name, int):
        return True
    if isinstance(step, Glob):
        return step.matches(name)
    return step == name or escape(step) == name
