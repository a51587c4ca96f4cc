"""Plays the scheduler and a kubelet: pods are bound to a fake node and become Running and Ready, claims become Bound."""

from __future__ import annotations

import contextlib
import http.client
import json
import ssl
import threading
import urllib.error
import urllib.request
from typing import Any

NODE = "fake-node"
_LOOK_SECONDS = 0.2
"""How often it looks; a list of pods on loopback costs the server about a millisecond."""


class FakeKubelet:
    """``failing`` holds (label, value) pairs: pods with one of them run but never become ready."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._token = token
        self._context = ssl.create_default_context()
        self._context.check_hostname, self._context.verify_mode = False, ssl.CERT_NONE
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._addresses = 0
        self.failing: set[tuple[str, str]] = set()

    def start(self) -> FakeKubelet:
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}}
        with contextlib.suppress(urllib.error.HTTPError):
            self._call("POST", "/api/v1/nodes", node)
        self._thread.start()
        return self

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(10)

    def _run(self) -> None:
        while not self._stop.wait(_LOOK_SECONDS):
            # a server that is restarted may break off in the middle of an answer
            with contextlib.suppress(urllib.error.URLError, OSError, http.client.HTTPException):
                for pod in self._call("GET", "/api/v1/pods")["items"]:
                    self._pod(pod)
                for claim in self._call("GET", "/api/v1/persistentvolumeclaims")["items"]:
                    self._claim(claim)

    def _pod(self, pod: dict[str, Any]) -> None:
        meta = pod["metadata"]
        path = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}"
        with contextlib.suppress(urllib.error.HTTPError):
            if meta.get("deletionTimestamp"):
                self._call("DELETE", path, {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0})
            elif not pod["spec"].get("nodeName"):
                target = {"apiVersion": "v1", "kind": "Node", "name": NODE}
                binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": meta["name"]}, "target": target}
                self._call("POST", f"{path}/binding", binding)
            elif self._is(pod) != self._ought(pod):
                self._call("PATCH", f"{path}/status", {"status": self._status(pod)})

    @staticmethod
    def _is(pod: dict[str, Any]) -> str:
        found = {item["type"]: item["status"] for item in pod.get("status", {}).get("conditions") or ()}
        return found.get("Ready", "")

    def _ought(self, pod: dict[str, Any]) -> str:
        labels = (pod["metadata"].get("labels") or {}).items()
        return "False" if self.failing.intersection(labels) else "True"

    def _status(self, pod: dict[str, Any]) -> dict[str, Any]:
        ready = self._ought(pod)
        self._addresses += 1
        state = {"running": {"startedAt": pod["metadata"]["creationTimestamp"]}}
        if ready == "False":
            state = {"waiting": {"reason": "CrashLoopBackOff", "message": "told to fail"}}
        names = ("Initialized", "PodScheduled")
        conditions = [{"type": name, "status": "True"} for name in names]
        conditions += [{"type": name, "status": ready} for name in ("ContainersReady", "Ready")]
        return {
            "phase": "Running",
            "podIP": pod["status"].get("podIP") or f"10.1.{self._addresses // 250 % 250}.{self._addresses % 250 + 1}",
            "conditions": conditions,
            "containerStatuses": [
                {"name": item["name"], "image": item["image"], "imageID": "", "restartCount": 0,
                 "ready": ready == "True", "started": ready == "True", "state": state}
                for item in pod["spec"]["containers"]
            ],
        }  # fmt: skip

    def _claim(self, claim: dict[str, Any]) -> None:
        if claim.get("status", {}).get("phase") == "Bound":
            return
        meta = claim["metadata"]
        path = f"/api/v1/namespaces/{meta['namespace']}/persistentvolumeclaims/{meta['name']}/status"
        status = {
            "phase": "Bound",
            "accessModes": claim["spec"]["accessModes"],
            "capacity": claim["spec"]["resources"]["requests"],
        }
        with contextlib.suppress(urllib.error.HTTPError):
            self._call("PATCH", path, {"status": status})

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        content = "application/strategic-merge-patch+json" if method == "PATCH" else "application/json"
        headers = {"Content-Type": content}
        if self._token:  # a proxy brings its own
            headers["Authorization"] = f"Bearer {self._token}"
        request = urllib.request.Request(self._url + path, data=data, method=method, headers=headers)
        with urllib.request.urlopen(request, context=self._context, timeout=10) as answer:
            found: dict[str, Any] = json.load(answer)
            return found
