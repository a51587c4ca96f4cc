"""A real etcd, kube-apiserver and kube-controller-manager on loopback ports, gone with the process that started them."""

from __future__ import annotations

import base64
import contextlib
import ctypes
import fcntl
import hashlib
import json
import os
import platform
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType

import yaml

from tests.support import frontproxy
from tests.support.audit import AuditLog

SOURCES = Path(__file__).parents[1] / "controlplane"
VERSION = "v1.36.3"
START_SECONDS = 120.0
GRACE_SECONDS = 2.0
USERS = {
    "admin": "system:masters",
    "operator": "",
    "controller": "system:masters",
    "nobody": "",
    "kcm": "system:masters",
}
"""User to group; ``operator`` has only the rights the documented RBAC gives it."""
_AUDIT = """apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  omitManagedFields: true
  users: [admin, operator, controller, nobody]
- level: Metadata
  omitManagedFields: true
  userGroups: ["system:serviceaccounts:kro-system"]
- level: None
"""


def _audit_policy() -> str:
    """What the tests count requests by; before it the rules we ship, for the user who plays the person."""
    policy = yaml.safe_load(_AUDIT)
    shipped = yaml.safe_load((Path(__file__).parents[2] / "deploy" / "audit-policy.yaml").read_text())
    policy["rules"] = [*({**rule, "users": ["admin"]} for rule in shipped["rules"]), *policy["rules"]]
    return json.dumps(policy)


class ControlPlaneMissing(Exception):
    """What is needed for a control plane and is not here."""


def _die_with_parent() -> None:
    """Linux: the kernel ends this child when its parent is gone, however that went."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def binaries() -> dict[str, list[str]]:
    """Command of each program: ready-made ones first, else ours, built once and kept by version and sources."""
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    names = ("etcd", "kube-apiserver", "kube-controller-manager", "kubectl")
    if assets:
        missing = [name for name in names if not (Path(assets) / name).exists()]
        if missing:
            raise ControlPlaneMissing(f"KUBEBUILDER_ASSETS={assets} lacks {', '.join(missing)}")
        return {name: [str(Path(assets) / name)] for name in names}
    binary = str(build())
    return {name: [binary, name] for name in names}


def built() -> Path:
    """Where the multi-call binary of these sources is, once it is built."""
    digest = hashlib.sha256(platform.machine().encode())
    for file in ("go.mod", "go.sum", "main.go"):
        digest.update((SOURCES / file).read_bytes())
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return root / "kro-es" / "controlplane" / f"{VERSION}-{digest.hexdigest()[:16]}" / "controlplane"


def build() -> Path:
    """The multi-call binary; a cold build takes some seven minutes on two cores."""
    binary = built()
    folder = binary.parent
    if binary.exists():
        return binary
    if shutil.which("go") is None:
        raise ControlPlaneMissing(
            "no control plane: set KRO_ES_TEST_KUBECONFIG or KUBEBUILDER_ASSETS, or install Go 1.26 or newer to build one"
        )
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not binary.exists():
            print(f"building the control plane {VERSION} (once, some seven minutes) ...", file=sys.stderr, flush=True)
            _compile(binary)
    return binary


def _compile(binary: Path) -> None:
    flags = ["-s", "-w"]
    for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version"):
        major, minor, _ = VERSION[1:].split(".")
        flags += [
            f"-X {package}.gitVersion={VERSION}",
            f"-X {package}.gitMajor={major}",
            f"-X {package}.gitMinor={minor}",
        ]
    partial = binary.with_suffix(f".{os.getpid()}")
    command = ["go", "build", "-trimpath", "-ldflags", " ".join(flags), "-o", str(partial), "."]
    done = subprocess.run(
        command,
        cwd=SOURCES,
        env={**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=mod"},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise ControlPlaneMissing(f"the control plane does not build:\n{done.stderr[-3000:]}")
    partial.rename(binary)


def _ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        found = [stack.enter_context(socket.socket()) for _ in range(count)]
        for item in found:
            item.bind(("127.0.0.1", 0))
        return [item.getsockname()[1] for item in found]


class ControlPlane:
    """``with ControlPlane() as plane``: up in some five seconds, nothing left behind."""

    def __init__(self) -> None:
        self._commands = binaries()
        self.directory = Path(tempfile.mkdtemp(prefix="kro-es-controlplane-"))
        self._etcd_port, self._peer_port, self._port, self._kcm_port = _ports(4)
        self.url = f"https://127.0.0.1:{self._port}"
        self.audit = AuditLog(self.directory / "audit.log")
        self._processes: list[subprocess.Popen[bytes]] = []
        self._running: dict[str, tuple[subprocess.Popen[bytes], Sequence[str]]] = {}

    def __enter__(self) -> ControlPlane:
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        for process in reversed(self._processes):
            process.kill()
        for process in reversed(self._processes):
            process.wait(20)
        self._processes.clear()
        shutil.rmtree(self.directory, ignore_errors=True)

    def kubeconfig(self, user: str) -> Path:
        return self._kubeconfig(user, f"{user}-token")

    def service_account_kubeconfig(self, namespace: str, name: str) -> Path:
        token = self.kubectl("create", "token", name, "-n", namespace).strip()
        return self._kubeconfig(f"sa-{namespace}-{name}", token)

    def kubectl(self, *args: str, user: str = "admin", stdin: str | None = None) -> str:
        """Output of kubectl; raises AssertionError with its complaint when it fails."""
        command = [*self._commands["kubectl"], "--kubeconfig", str(self.kubeconfig(user)), *args]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=120)
        if done.returncode:
            raise AssertionError(f"kubectl {' '.join(args)}: {done.stderr}")
        return done.stdout

    def _kubeconfig(self, user: str, token: str) -> Path:
        path = self.directory / f"{user}.kubeconfig"
        if not path.exists() or token not in path.read_text():
            path.write_text(
                "apiVersion: v1\nkind: Config\ncurrent-context: test\n"
                f'clusters: [{{name: test, cluster: {{server: "{self.url}", insecure-skip-tls-verify: true}}}}]\n'
                f'users: [{{name: {user}, user: {{token: "{token}"}}}}]\n'
                f"contexts: [{{name: test, context: {{cluster: test, user: {user}}}}}]\n"
            )
        return path

    def _start(self) -> None:
        d = self.directory
        tokens = (f'{user}-token,{user},{user},"{group}"' for user, group in USERS.items())
        (d / "tokens.csv").write_text("\n".join(tokens) + "\n")
        (d / "audit.yaml").write_text(_audit_policy())
        subprocess.run(["openssl", "genrsa", "-out", str(d / "sa.key"), "2048"], check=True, capture_output=True)
        public = ["openssl", "rsa", "-in", str(d / "sa.key"), "-pubout", "-out", str(d / "sa.pub")]
        subprocess.run(public, check=True, capture_output=True)
        client, peer = (f"http://127.0.0.1:{port}" for port in (self._etcd_port, self._peer_port))
        self._launch("etcd", [
            "--data-dir", f"{d}/etcd", "--unsafe-no-fsync", "--listen-client-urls", client, "--advertise-client-urls", client,
            "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", f"default={peer}",
        ])  # fmt: skip
        self._launch("kube-apiserver", [
            f"--etcd-servers={client}", f"--secure-port={self._port}", "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1", f"--cert-dir={d}/certs", "--service-account-issuer=https://localhost",
            f"--service-account-key-file={d}/sa.pub", f"--service-account-signing-key-file={d}/sa.key",
            f"--token-auth-file={d}/tokens.csv", "--authorization-mode=RBAC", "--service-cluster-ip-range=10.0.0.0/24",
            "--allow-privileged=true", "--disable-admission-plugins=ServiceAccount", f"--audit-policy-file={d}/audit.yaml",
            f"--audit-log-path={d}/audit.log", "--audit-log-maxsize=4000", *frontproxy.write(d),
        ])  # fmt: skip
        self._wait_ready()
        self._launch("kube-controller-manager", [
            f"--kubeconfig={self.kubeconfig('kcm')}", "--leader-elect=false", f"--cert-dir={d}/kcm-certs",
            f"--secure-port={self._kcm_port}", f"--service-account-private-key-file={d}/sa.key",
            "--horizontal-pod-autoscaler-sync-period=1s", "--kube-api-qps=200", "--kube-api-burst=400",
            "--controllers=*,-serviceaccount-token-controller,-bootstrap-signer-controller,-persistentvolume-binder-controller",
        ])  # fmt: skip

    @property
    def pids(self) -> list[int]:
        """Processes of etcd, the API server and the controller manager."""
        return [process.pid for process in self._processes]

    def pid(self, name: str) -> int:
        return self._running[name][0].pid

    def restart(self, name: str) -> None:
        """SIGTERM, SIGKILL when its grace is over, and the same once more; returns when the API server is ready.

        By itself it would wait a minute for watches that do not end.
        """
        process, flags = self._running[name]
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_SECONDS)
        process.kill()
        process.wait(20)
        self._processes.remove(process)
        self._launch(name, flags)
        self._wait_ready()

    def compact(self) -> None:
        """What the store held before now is gone: nobody can watch on from there any more."""
        found = self._etcd("range", {"key": base64.b64encode(b"any").decode()})
        self._etcd("compaction", {"revision": found["header"]["revision"], "physical": True})

    def _etcd(self, what: str, question: dict[str, object]) -> dict[str, dict[str, str]]:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self._etcd_port}/v3/kv/{what}",
            json.dumps(question).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            found: dict[str, dict[str, str]] = json.load(answer)
        return found

    def _launch(self, name: str, flags: Sequence[str]) -> None:
        with (self.directory / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [*self._commands[name], *flags], stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                start_new_session=True, preexec_fn=_die_with_parent,
            )  # fmt: skip
        self._processes.append(process)
        self._running[name] = process, flags

    def _wait_ready(self) -> None:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        request = urllib.request.Request(f"{self.url}/readyz", headers={"Authorization": "Bearer admin-token"})
        for _ in self._tries():
            for process in self._processes:
                if process.poll() is not None:
                    raise ControlPlaneMissing(f"the control plane ended at start:\n{self._tails()}")
            with contextlib.suppress(urllib.error.URLError, OSError):
                with urllib.request.urlopen(request, context=context, timeout=2) as answer:
                    if answer.read() == b"ok":
                        return
        raise ControlPlaneMissing(f"the control plane was not ready after {START_SECONDS} s:\n{self._tails()}")

    @staticmethod
    def _tries() -> Iterator[None]:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            yield
            time.sleep(0.1)  # a server that starts offers nothing to wait on but its probe

    def _tails(self) -> str:
        return "\n".join(
            f"--- {file.name}\n{file.read_text(errors='replace')[-1500:]}" for file in self.directory.glob("*.log")
        )
