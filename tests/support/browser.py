"""A Chromium without a window, driven over a pipe: what it shows, says on its console, and asks the network for."""

from __future__ import annotations

import base64
import ctypes
import fcntl
import hashlib
import json
import os
import select
import shutil
import signal
import struct
import subprocess
import tempfile
import time
import zlib
from pathlib import Path
from types import TracebackType
from typing import Any

PACKAGE = "@sparticuz/chromium@153.0.0"
INTEGRITY = "jiGWqSvPMdu4+P9TilYqAR7yEGPEHINx+lCvE/NqNO/EHYzF/x1hUiI5T6ioVIt7dEy7n88byyT0vk+dnsgQwA=="
"""SHA-512 of the package; it holds the program, two libraries it needs, a font, and a renderer, each packed with brotli."""
_UNPACK = """
const zlib = require("zlib"), fs = require("fs");
for (const file of fs.readdirSync(".")) if (file.endsWith(".br"))
  fs.writeFileSync(file.slice(0, -3), zlib.brotliDecompressSync(fs.readFileSync(file)));
"""
_SECONDS = 60.0
_FLAGS = (
    "--headless", "--no-sandbox", "--no-zygote", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
    "--remote-debugging-pipe", "--window-size=1100,1400", "--force-color-profile=srgb", "about:blank",
)  # fmt: skip
"""No sandbox: it needs rights a test has not, and what is opened is our own page, which the network does not reach."""


class BrowserMissing(Exception):
    """Why there is no browser here."""


def program() -> Path:
    """The browser, installed once and kept by version and digest; raises BrowserMissing."""
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kro-es" / "chromium"
    digest = hashlib.sha256((PACKAGE + INTEGRITY).encode()).hexdigest()[:16]
    folder = root / f"{PACKAGE.rpartition('@')[2]}-{digest}"
    found = folder / "chromium"
    if found.exists():
        return found
    for name in ("npm", "node"):
        if shutil.which(name) is None:
            raise BrowserMissing(f"no browser: {name} is needed to install {PACKAGE}")
    root.mkdir(parents=True, exist_ok=True)
    with (root / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not found.exists():
            with tempfile.TemporaryDirectory(dir=root) as work:
                _install(Path(work), folder)
    return found


def _install(work: Path, folder: Path) -> None:
    _run("npm", "pack", PACKAGE, "--silent", "--ignore-scripts", f"--pack-destination={work}", cwd=work)
    (package,) = work.glob("*.tgz")
    if base64.b64encode(hashlib.sha512(package.read_bytes()).digest()).decode() != INTEGRITY:
        raise BrowserMissing(f"{PACKAGE} from the registry is not what was pinned")
    _run("tar", "xzf", str(package), cwd=work)
    files = work / "package" / "bin"
    _run("node", "-e", _UNPACK, cwd=files)
    for archive in files.glob("*.tar"):
        _run("tar", "xf", str(archive), cwd=files)
    for packed in (*files.glob("*.br"), *files.glob("*.tar")):
        packed.unlink()
    (files / "chromium").chmod(0o755)
    files.rename(folder)


def _run(*command: str, cwd: Path) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300)
    if done.returncode:
        raise BrowserMissing(f"{' '.join(command[:3])}: {done.stderr.strip()[-500:]}")


class Page:
    """``with Page() as page``: one empty tab; ``open`` fills it."""

    def __init__(self) -> None:
        self._program = program()
        self._folder = tempfile.mkdtemp(prefix="kro-es-browser-")
        self._numbers = 0
        self._session = ""
        self._rest = b""
        self.events: list[dict[str, Any]] = []
        """Everything the browser told, in order."""

    def __enter__(self) -> Page:
        reads, self._write = os.pipe()
        self._read, writes = os.pipe()

        def set_up() -> None:
            ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # gone with us, however that goes
            # the pipe is expected at 3 and 4; whatever is there now may be one of its ends
            high = fcntl.fcntl(reads, fcntl.F_DUPFD, 64), fcntl.fcntl(writes, fcntl.F_DUPFD, 64)
            os.dup2(high[0], 3)
            os.dup2(high[1], 4)

        with (Path(self._folder) / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [str(self._program), *_FLAGS, f"--user-data-dir={self._folder}"],
                env={**os.environ, "LD_LIBRARY_PATH": str(self._program.parent / "lib"), "HOME": self._folder},
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=set_up, close_fds=False,
            )  # fmt: skip
        os.close(reads)
        os.close(writes)
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait(20)
        os.close(self._read)
        os.close(self._write)
        shutil.rmtree(self._folder, ignore_errors=True)

    def open(self, file: Path) -> None:
        """Returns when everything the page names is there or has failed."""
        begun = len(self.events)
        self.call("Page.navigate", url=file.absolute().as_uri())
        while not any(event["method"] == "Page.loadEventFired" for event in self.events[begun:]):
            self._next()

    def value(self, script: str) -> Any:
        """What an expression is in the page; it runs whatever the page's own rules allow."""
        found = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def screenshot(self, selector: str | None = None) -> bytes:
        """PNG of the whole page, or of one element."""
        script = f"document.querySelector({json.dumps(selector or 'html')}).getBoundingClientRect().toJSON()"
        box = self.value(script)
        clip = {name: box[name] for name in ("x", "y", "width", "height")} | {"scale": 1}
        taken = self.call("Page.captureScreenshot", format="png", clip=clip, captureBeyondViewport=True)
        return base64.b64decode(taken["data"])

    def said(self) -> list[str]:
        """Errors and messages of the console, violations of the page's policy among them."""
        told = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")
        return [json.dumps(event["params"]) for event in self.events if event["method"] in told]

    def requests(self) -> list[str]:
        """Every address it asked for."""
        asked = [event["params"] for event in self.events if event["method"] == "Network.requestWillBeSent"]
        return [str(one["request"]["url"]) for one in asked]

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        self._numbers += 1
        asked: dict[str, Any] = {"id": self._numbers, "method": method, "params": params}
        if self._session:
            asked["sessionId"] = self._session
        os.write(self._write, json.dumps(asked).encode() + b"\0")
        while True:
            found = self._next()
            if found.get("id") == asked["id"]:
                assert "error" not in found, found
                result: dict[str, Any] = found["result"]
                return result

    def _next(self) -> dict[str, Any]:
        deadline = time.monotonic() + _SECONDS
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._read], [], [], max(0.0, deadline - time.monotonic()))
            chunk = os.read(self._read, 1 << 20) if ready else b""
            assert chunk, f"the browser says no more: {(Path(self._folder) / 'log').read_text()[-2000:]}"
            self._rest += chunk
        line, self._rest = self._rest.split(b"\0", 1)
        found: dict[str, Any] = json.loads(line)
        if "method" in found:
            self.events.append(found)
        return found


def pixels(png: bytes) -> tuple[int, int, set[tuple[int, ...]]]:
    """Width, height and the colours of a picture of eight bits a channel that is not interlaced."""
    width, height, depth, kind = struct.unpack(">IIBB", png[16:26])
    assert (depth, kind) in ((8, 2), (8, 6)), "an RGB or RGBA picture"
    size = 3 if kind == 2 else 4
    data, at = b"", 8
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        if png[at + 4 : at + 8] == b"IDAT":
            data += png[at + 8 : at + 8 + length]
        at += length + 12
    raw, stride = zlib.decompress(data), width * size
    before, colours = bytes(stride), set()
    for row in range(height):
        start = row * (stride + 1)
        before = _unfiltered(raw[start], raw[start + 1 : start + 1 + stride], before, size)
        colours |= {tuple(before[left : left + 3]) for left in range(0, stride, size)}
    return width, height, colours


def _unfiltered(kind: int, line: bytes, above: bytes, size: int) -> bytes:
    found = bytearray(line)
    for index in range(len(found)):
        left = found[index - size] if index >= size else 0
        corner = above[index - size] if index >= size else 0
        up = above[index]
        guess = (0, left, up, (left + up) // 2, _paeth(left, up, corner))[kind]
        found[index] = (found[index] + guess) & 0xFF
    return bytes(found)


def _paeth(left: int, up: int, corner: int) -> int:
    estimate = left + up - corner
    return min((left, up, corner), key=lambda one: abs(estimate - one))
