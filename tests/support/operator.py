"""The controller as a process of its own, the way a cluster runs it; killed by its own process id."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

READY_SECONDS = 60.0


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


class Operator:
    """``kro-es run`` on one database; ``start`` after ``kill`` is the restart a crash test needs.

    Without a kubeconfig: another command that serves probes.
    """

    made: ClassVar[list[Operator]] = []
    """All of this run of the tests."""

    def __init__(
        self, kubeconfig: Path | None, directory: Path, *, database: str | None = None, arguments: Sequence[str] = ()
    ) -> None:
        self.kubeconfig = kubeconfig
        self.directory = directory
        self.file = directory / "log.db"
        self.database = database or f"sqlite:///{self.file}"
        self._arguments = arguments or ("run", "--database", self.database, "--install-crds")
        self.output = directory / "operator.log"
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        Operator.made.append(self)

    @property
    def redaction_key(self) -> Path:
        """Its file; beside a SQLite log unless it was told otherwise."""
        words = list(self._arguments)
        if "--redaction-key-file" in words:
            return Path(words[words.index("--redaction-key-file") + 1])
        return Path(self.database.removeprefix("sqlite:///") + ".key")

    def start(self, *, wait: bool = True) -> Operator:
        address = f"127.0.0.1:{self.port}"
        where = ("--health-address", address, "--metrics-address", address)
        if self.kubeconfig is not None:
            where = ("--kubeconfig", str(self.kubeconfig), *where)
        command = [sys.executable, "-m", "kro_es.cli.operator", *self._arguments, *where]
        with self.output.open("ab") as stream:
            self._process = subprocess.Popen(
                command, stdout=stream, stderr=subprocess.STDOUT, start_new_session=True, env={**os.environ}
            )
        if wait:
            self.wait_ready()
        return self

    def kill(self) -> None:
        """No warning, as a node failure would."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        return self._end(signal.SIGTERM)

    def pause(self) -> None:
        """As a node that hangs: the process is there and does nothing until :meth:`go_on`."""
        os.kill(self.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def wait_end(self, seconds: float) -> int:
        """Exit code of a process that ends by itself."""
        assert self._process is not None
        return self._process.wait(seconds)

    def metric(self, name: str) -> float:
        """Current value of a metric, named with its labels if it has some; -1 when nobody answers or it is not there."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=5) as answer:
                lines = answer.read().decode().splitlines()
        except (urllib.error.URLError, OSError):
            return -1.0
        return next((float(line.split()[1]) for line in lines if line.startswith(f"{name} ")), -1.0)

    @property
    def ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def text(self) -> str:
        return self.output.read_text(errors="replace") if self.output.exists() else ""

    def _end(self, number: int) -> int:
        if self._process is None:
            return 0
        if self._process.poll() is None:
            self._process.send_signal(number)
        code = self._process.wait(30)
        self._process = None
        # pytest shows it when the test fails
        print(self.text()[-8000:])
        return code

    def wait_ready(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            assert self._process is not None
            if self._process.poll() is not None:
                raise AssertionError(f"the controller ended with {self._process.returncode}:\n{self.text()[-4000:]}")
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=1) as answer:
                    if answer.status == 200:
                        return
            except (urllib.error.URLError, OSError):
                pass
            time.sleep(0.05)  # the process offers nothing to wait on but its own probe
        raise AssertionError(f"not ready after {READY_SECONDS} s:\n{self.text()[-4000:]}")
