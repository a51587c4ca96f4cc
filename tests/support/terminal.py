"""A program on a terminal of its own, where Ctrl-C is a key."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import subprocess
import termios
import time
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType

_SECONDS = 60.0
_AGAIN_SECONDS = 3.0


class Terminal:
    """What the program says, on whichever stream, is in ``text``."""

    def __init__(self, command: Sequence[str]) -> None:
        self._own, theirs = pty.openpty()
        self.text = ""
        self._process = subprocess.Popen(
            command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True, preexec_fn=_own_terminal
        )
        os.close(theirs)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        os.close(self._own)

    def until(self, words: str) -> None:
        """Reads on until the program has said this."""
        deadline = time.monotonic() + _SECONDS
        while words not in self.text:
            assert self._read(deadline), f"{words!r} was not said:\n{self.text}"

    def interrupt(self) -> None:
        """The key: the terminal sends SIGINT to whoever runs on it."""
        os.write(self._own, b"\x03")

    def give_up(self) -> int:
        """Ctrl-C at a question, and again as people do: one in the instant before Python's ``input`` reads is not heard alone."""
        for _ in range(int(_SECONDS / _AGAIN_SECONDS)):
            self.interrupt()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_AGAIN_SECONDS)
                break
        return self.end()

    def end(self) -> int:
        """Exit code, once it has ended by itself."""
        deadline = time.monotonic() + _SECONDS
        while self._read(deadline):
            pass
        return self._process.wait(_SECONDS)

    def _read(self, deadline: float) -> bool:
        """False at the end of what is said."""
        ready, _, _ = select.select([self._own], [], [], max(0.0, deadline - time.monotonic()))
        assert ready, f"nothing more was said within {_SECONDS} s:\n{self.text}"
        try:
            said = os.read(self._own, 65536)
        except OSError:
            return False  # the other end is closed
        self.text += said.decode(errors="replace").replace("\r\n", "\n")
        return bool(said)


def _own_terminal() -> None:
    # whoever runs the tests in the background of a shell has it ignored, and so would the program
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
