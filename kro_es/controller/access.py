"""What of the log a user may see: what the cluster lets them get, asked kind by kind and kept for a few seconds."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterable, Sequence

from kro_es.api import metadata
from kro_es.api.objects import Resource
from kro_es.cluster.aggregation import Caller
from kro_es.errors import UserError
from kro_es.schema.plural import plural
from kro_es.store.narrowed import Scope

KEPT_SECONDS = 10.0
"""So long a right that was taken away may still count."""
MOST_REVIEWS = 2_000
_MOST_KEPT = 100_000
MayGet = Callable[[Caller, str, str, str], Awaitable[bool]]
"""User, API group, resource, namespace (empty: all of them)."""
Located = Callable[[str, str], Awaitable[Resource | None]]
"""API group and kind to where its objects are; None when nobody serves it any more."""


class Access:
    """Asks the cluster's authorizers; an answer is kept, so that a page of questions is not a page of reviews."""

    def __init__(self, may_get: MayGet, located: Located, clock: Callable[[], float]) -> None:
        self._may_get = may_get
        self._located = located
        self._clock = clock
        self._kept: dict[tuple[Caller, str, str, str], tuple[float, bool]] = {}
        self._plurals: dict[tuple[str, str], str] = {}

    async def whole(self, caller: Caller) -> bool:
        """Whether everything is open to them, also what names no object."""
        return await self._asked(caller, metadata.HISTORY_GROUP, metadata.WHOLE_LOG, "")

    async def open(self, caller: Caller, scopes: Iterable[Scope]) -> list[Scope]:
        """Those they may get. Raises UserError when too many would have to be asked about one by one, ApiError."""
        kinds: dict[tuple[str, str], list[Scope]] = {}
        for scope in scopes:
            kinds.setdefault((scope.group, scope.kind), []).append(scope)
        everywhere = await asyncio.gather(*(self._asked_kind(caller, Scope(*kind, "")) for kind in kinds))
        found = [scope for of, ok in zip(kinds.values(), everywhere, strict=True) if ok for scope in of]
        rest = [scope for of, ok in zip(kinds.values(), everywhere, strict=True) if not ok for scope in of]
        within = [scope for scope in rest if scope.namespace]
        if len(within) > MOST_REVIEWS:
            raise UserError(
                f"your rights in {len(within)} places would have to be looked up: name one with -n NAMESPACE"
            )
        answers = await asyncio.gather(*(self._asked_kind(caller, scope) for scope in within))
        return found + [scope for scope, ok in zip(within, answers, strict=True) if ok]

    async def _asked_kind(self, caller: Caller, scope: Scope) -> bool:
        resource = await self._resource(scope.group, scope.kind)
        return await self._asked(caller, scope.group, resource, scope.namespace)

    async def _resource(self, group: str, kind: str) -> str:
        """A kind that is gone is asked about by the name it most likely had: a right to it must have been given."""
        found = self._plurals.get((group, kind))
        if found is None:
            resource = await self._located(group, kind)
            if resource is None:
                return plural(kind)
            found = self._plurals[group, kind] = resource.plural
        return found

    async def _asked(self, caller: Caller, group: str, resource: str, namespace: str) -> bool:
        key = (caller, group, resource, namespace)
        at, answer = self._kept.get(key, (float("-inf"), False))
        if self._clock() - at < KEPT_SECONDS:
            return answer
        answer = await self._may_get(caller, group, resource, namespace)
        if len(self._kept) >= _MOST_KEPT:
            self._kept.clear()
        self._kept[key] = (self._clock(), answer)
        return answer


def within(scopes: Iterable[Scope], question: Sequence[str]) -> list[Scope]:
    """Of a question that names a namespace only what is there, and what is in none, has to be looked up."""
    names = [value for flag, value in itertools.pairwise(question) if flag in ("-n", "--namespace")]
    names += [item.removeprefix("--namespace=") for item in question if item.startswith("--namespace=")]
    return [scope for scope in scopes if not names or scope.namespace in ("", *names)]
