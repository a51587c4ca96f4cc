"""How far a long command has come, on stderr: a person sees a line that moves, a file gets one now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from kro_es.history.times import lasted

_OFTEN, _SELDOM = 0.5, 30.0
"""Seconds between two lines: on a terminal, and anywhere else."""


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """Calls it with what is done and how much there is; nothing is said of what takes no time."""
    shown = _Progress(what)
    try:
        yield shown
    finally:
        shown.end()


class _Progress:
    def __init__(self, what: str) -> None:
        self._what = what
        self._began = self._said = time.monotonic()
        self._terminal = sys.stderr.isatty()
        self._shown = False

    def __call__(self, done: int, of: int) -> None:
        now = time.monotonic()
        if now - self._said < (_OFTEN if self._terminal else _SELDOM):
            return
        self._said = now
        left = (now - self._began) * (of - done) / done if done else 0.0
        text = f"{self._what}: {done:,} of {of:,}" + (f", about {lasted(left)} left" if done else "")
        sys.stderr.write(f"\r{text}\x1b[K" if self._terminal else f"{text}\n")
        sys.stderr.flush()
        self._shown = self._terminal

    def end(self) -> None:
        """The terminal's line is free again."""
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._shown = False
