"""A cluster of somebody else as the test control plane, from KRO_ES_TEST_KUBECONFIG; nothing of it is started or stopped."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import NoReturn

import pytest

from tests.support.controlplane import ControlPlaneMissing, binaries, built
from tests.support.kubelet import FakeKubelet


class _NoAudit:
    """Requests can only be counted where the audit log is ours."""

    def mark(self) -> NoReturn:
        pytest.skip("counts requests in the API server's audit log: not readable with KRO_ES_TEST_KUBECONFIG")


class ExternalControlPlane:
    """The given kubeconfig plays admin and controller; every other user is a ServiceAccount without rights of its own."""

    def __init__(self, kubeconfig: str) -> None:
        self._given = Path(kubeconfig)
        if not self._given.is_file():
            raise ControlPlaneMissing(f"KRO_ES_TEST_KUBECONFIG={kubeconfig} is not a file")
        # one that is built here already is of a known version; a distribution's may be years old
        found = None if built().exists() else shutil.which("kubectl")
        self._kubectl = [found] if found else binaries()["kubectl"]
        self.directory = Path(tempfile.mkdtemp(prefix="kro-es-external-"))
        self.audit = _NoAudit()
        self._proxy: subprocess.Popen[str] | None = None

    def __enter__(self) -> ExternalControlPlane:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._proxy is not None:
            self._proxy.kill()
            self._proxy.wait(10)
        shutil.rmtree(self.directory, ignore_errors=True)

    def kubeconfig(self, user: str) -> Path:
        if user in ("admin", "controller"):
            return self._given
        self.kubectl("create", "serviceaccount", f"kro-es-test-{user}", "-n", "default", ignore="AlreadyExists")
        return self.service_account_kubeconfig("default", f"kro-es-test-{user}")

    def service_account_kubeconfig(self, namespace: str, name: str) -> Path:
        token = self.kubectl("create", "token", name, "-n", namespace).strip()
        config = json.loads(self.kubectl("config", "view", "--raw", "--minify", "-o", "json"))
        config["users"] = [{"name": name, "user": {"token": token}}]
        config["contexts"][0]["context"]["user"] = name
        path = self.directory / f"sa-{namespace}-{name}.kubeconfig"
        path.write_text(json.dumps(config))
        return path

    def kubectl(self, *args: str, user: str = "admin", stdin: str | None = None, ignore: str = "") -> str:
        """Output of kubectl; raises AssertionError with its complaint when it fails, unless that contains ``ignore``."""
        command = [*self._kubectl, "--kubeconfig", str(self.kubeconfig(user)), *args]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=120)
        if done.returncode and not (ignore and ignore in done.stderr):
            raise AssertionError(f"kubectl {' '.join(args)}: {done.stderr}")
        return done.stdout

    def kubelet(self) -> FakeKubelet | None:
        """A played kubelet where no node of the cluster is ready; it speaks through ``kubectl proxy``."""
        nodes = json.loads(self.kubectl("get", "nodes", "-o", "json"))["items"]
        if any(condition["status"] == "True" for node in nodes for condition in node["status"].get("conditions", ())
               if condition["type"] == "Ready"):  # fmt: skip
            return None
        command = [*self._kubectl, "--kubeconfig", str(self._given), "proxy", "--port=0"]
        self._proxy = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._proxy.stdout is not None
        with self._proxy.stdout:
            address = self._proxy.stdout.readline().split()[-1]
        return FakeKubelet(f"http://{address}", "").start()
