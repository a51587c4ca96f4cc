"""The ground of the other tests: the right version, its own users, nothing left behind."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Cluster
from tests.support.controlplane import VERSION, ControlPlane, ControlPlaneMissing, binaries
from tests.support.external import ExternalControlPlane

_HOLD = """
import signal
from tests.support.controlplane import ControlPlane
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in what a shell started in the background
with ControlPlane() as plane:
    print(*(process.pid for process in plane._processes), flush=True)
    signal.pause()
"""


def test_the_server_says_which_version_it_is(cluster: Cluster) -> None:
    if os.environ.get("KRO_ES_TEST_KUBECONFIG"):
        pytest.skip("the version is the cluster owner's choice")
    found = json.loads(cluster.kubectl("version", "-o", "json"))
    assert found["serverVersion"]["gitVersion"] == VERSION


@pytest.mark.parametrize("user", ["nobody", "operator"])
def test_a_user_without_a_role_may_do_nothing(cluster: Cluster, user: str) -> None:
    with pytest.raises(AssertionError, match="forbidden"):
        cluster.kubectl("get", "secrets", "-n", cluster.namespace, user=user)


def _wait_ended(pid: int) -> None:
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    ended, _, _ = select.select([handle], [], [], 20)
    os.close(handle)
    assert ended, f"process {pid} still runs"


def _alive(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    # Z: ended, and only not yet reaped by whoever inherited it
    return status.exists() and status.read_text().rsplit(")", 1)[1].split()[0] != "Z"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks the kernel about processes")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-c", "killed"])
def test_nothing_is_left_running_when_the_test_run_is_stopped(number: signal.Signals) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLD], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert holder.stdout is not None
    children = [int(pid) for pid in holder.stdout.readline().split()]
    assert len(children) == 3
    holder.send_signal(number)
    holder.wait(30)
    holder.stdout.close()
    for pid in children:
        _wait_ended(pid)
        assert not _alive(pid)


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))
    with pytest.raises(ControlPlaneMissing, match="lacks etcd, kube-apiserver"):
        binaries()
    monkeypatch.delenv("KUBEBUILDER_ASSETS")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ControlPlaneMissing, match="install Go"):
        ControlPlane()
    with pytest.raises(ControlPlaneMissing, match=r"KRO_ES_TEST_KUBECONFIG=.*nowhere"):
        ExternalControlPlane(str(tmp_path / "nowhere"))
