"""A question put through the API server to the controller's endpoint, with the rights of the kubeconfig's user."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from kro_es.api import metadata
from kro_es.cli.output import Screen
from kro_es.errors import ApiError, UserError
from kro_es.settings import VERSION

_ROOT = f"/apis/{metadata.HISTORY_GROUP}/{metadata.HISTORY_VERSION}"
_FOLLOW = frozenset({"-f", "--follow"})


@dataclass(frozen=True, slots=True)
class Place:
    """A cluster, as kubectl finds it."""

    kubeconfig: str | None = None
    context: str | None = None

    def ask(self, question: Sequence[str], screen: Screen) -> int:
        """Says the answer to the screen; the command's exit code. Raises UserError."""
        import asyncio

        from kro_es.cli.answering import QUESTIONS

        if question[0] not in QUESTIONS:
            raise UserError(
                f"{question[0]} cannot be asked through the cluster: say which log with --database or KRO_ES_DATABASE"
            )
        return asyncio.run(self._ask(question, screen))

    async def _ask(self, question: Sequence[str], screen: Screen) -> int:
        from urllib.parse import urlencode

        from kro_es.cli.spoken import perform
        from kro_es.cluster.client import connect
        from kro_es.history.moments import with_offset

        query = [("arg", item if screen.utc else with_offset(item, screen.now)) for item in question[1:]]
        if _FOLLOW & set(question):
            query.append(("watch", "true"))
            screen.pager = False
        path = f"{_ROOT}/{question[0]}" + (f"?{urlencode(query)}" if query else "")
        where = self.kubeconfig or os.environ.get("KUBECONFIG")
        try:
            opened = await connect(where, self.context, user_agent=f"kro-history/{VERSION}")
        except UserError as error:
            if self.kubeconfig or self.context:
                raise
            raise UserError(
                f"say which with --database or KRO_ES_DATABASE, or a cluster with --context: {error}"
            ) from error
        async with opened as client:
            try:
                answer = await client.stream(path, {})
            except ApiError as error:
                raise UserError(_refused(error)) from error
            try:
                async for line in _lines(answer.content.iter_any()):
                    code = perform(line, screen)
                    if code is not None:
                        return code
            finally:
                answer.close()
        raise UserError("the controller's answer broke off")


async def _lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    rest = b""
    async for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line:
                yield line


def _refused(error: ApiError) -> str:
    if error.not_found:
        return (
            "this cluster has no endpoint for the history (kubectl apply -k deploy/history);"
            " say which log with --database or KRO_ES_DATABASE"
        )
    if error.status == 0:
        return f"the API server does not answer: {error}; or say which log with --database or KRO_ES_DATABASE"
    return f"the cluster refused: {error}"
