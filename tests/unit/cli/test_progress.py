"""A long command says how far it is: a moving line on a terminal, a line now and then in a file, nothing when it is quick."""

from __future__ import annotations

import io

import pytest

from kro_es.cli import progress as module


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, to be moved by the test."""
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def test_what_takes_no_time_says_nothing(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with module.progress("digests") as told:
        told(5, 10)
    assert capsys.readouterr().err == ""


def test_a_file_gets_a_line_now_and_then_with_what_is_left(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    with module.progress("digests") as told:
        for done in range(0, 4_000, 1_000):
            told(done, 5_000)
            clock[0] += 20
    assert capsys.readouterr().err == "digests: 2,000 of 5,000, about 1m left\n"


def test_a_terminal_gets_one_line_that_moves_and_is_free_at_the_end(
    clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = _Terminal()
    monkeypatch.setattr(module.sys, "stderr", screen)
    with module.progress("digests") as told:
        for done in (1, 2, 3):
            clock[0] += 1
            told(done, 4)
    assert screen.getvalue().split("\r")[1:] == [
        "digests: 1 of 4, about 3.0s left\x1b[K",
        "digests: 2 of 4, about 2.0s left\x1b[K",
        "digests: 3 of 4, about 1.0s left\x1b[K",
        "\x1b[K",
    ]
