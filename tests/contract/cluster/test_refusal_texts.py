"""What people read of a refusal: the server's own words, one line, and never the page of a path that nobody serves."""

from __future__ import annotations

import pytest

from kro_es.cluster.client import translated


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (409, b'{"kind": "Status", "reason": "Conflict", "message": "it has changed"}', "it has changed"),
        (404, b'{"kind": "Status", "reason": "NotFound", "message": "no such thing"}', "no such thing"),
        (404, b"404 page not found\n", "the server could not find the requested resource"),
        (503, b"upstream is down\n", "upstream is down"),
        (502, b"", "HTTP 502"),
    ],
)
def test_the_text_of_a_refusal(status: int, body: bytes, told: str) -> None:
    error = translated(status, body, None)
    assert (error.status, error.message) == (status, told)


@pytest.mark.parametrize(
    "body", [b"<html>nginx</html>", b"default backend - 404", b"", b'{"message": "no Route matched"}']
)
def test_a_proxy_that_finds_nothing_says_nothing_about_the_cluster(body: bytes) -> None:
    error = translated(404, body, None)
    assert (error.not_found, error.outcome_unknown) == (False, True)
    assert "not of an API server" in error.message
