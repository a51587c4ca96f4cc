"""``make demo``: a control plane, the controller, an example, an edit, a rollback, and the history of it all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import yaml
from rich.console import Console

from tests.support.controlplane import ControlPlane, ControlPlaneMissing
from tests.support.kubelet import FakeKubelet
from tests.support.operator import Operator

EXAMPLE = Path(__file__).parents[2] / "deploy" / "examples" / "application"
STEP_SECONDS = 60.0
console = Console()


@contextmanager
def step(text: str) -> Iterator[Callable[[Callable[[], bool]], None]]:
    """Shows the step while it runs and how long it took; a step that does not happen ends the demo."""
    began = time.monotonic()

    def until(good: Callable[[], bool]) -> None:
        while not good():
            if time.monotonic() - began > STEP_SECONDS:
                raise SystemExit(f"demo: did not happen within {STEP_SECONDS:.0f} s: {text}")
            time.sleep(0.1)  # kubectl is asked from outside: there is no event to wait on here

    with console.status(text):
        yield until
    console.print(f"[green]✓[/] {text} [dim]({time.monotonic() - began:.1f} s)[/]")


class Demo:
    def __init__(self, plane: ControlPlane, operator: Operator) -> None:
        self.plane = plane
        self.operator = operator
        self.definition = yaml.safe_load((EXAMPLE / "definition.yaml").read_text())
        self.instances = list(yaml.safe_load_all((EXAMPLE / "instances.yaml").read_text()))[:2]
        self.name = self.definition["metadata"]["name"]

    def apply(self, *objects: object) -> None:
        self.plane.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(objects))

    def ready(self) -> bool:
        items = json.loads(self.plane.kubectl("get", "applications", "-o", "json"))["items"]
        return len(items) == len(self.instances) and all(
            any(
                c["type"] == "Ready" and c["status"] == "True"
                for c in (item.get("status") or {}).get("conditions") or ()
            )
            for item in items
        )

    def annotated(self, value: str | None) -> bool:
        items = json.loads(self.plane.kubectl("get", "deployments", "-o", "json"))["items"]
        return all((item["metadata"].get("annotations") or {}).get("demo/edit") == value for item in items)

    def revision(self, number: int) -> bool:
        found = json.loads(self.plane.kubectl("get", "rgd", self.name, "-o", "json"))
        status = found.get("status") or {}
        return status.get("lastIssuedRevision") == number and status.get("state") == "Active"

    def history(self, *args: str) -> None:
        console.print(f"\n[bold]$ kro-history {' '.join(args)}[/]")
        command = [sys.executable, "-m", "kro_es.cli.history", "--database", self.operator.database, *args]
        subprocess.run(command, check=True)

    def run(self) -> None:
        with step("definition Application is active") as until:
            self.apply(self.definition)
            until(lambda: self.revision(1))
        with step("two instances are available") as until:
            self.apply(*self.instances)
            until(self.ready)
        with step("definition edited: every instance follows revision 2") as until:
            template = self.definition["spec"]["resources"][0]["template"]
            template["metadata"].setdefault("annotations", {})["demo/edit"] = "yes"
            self.apply(self.definition)
            until(lambda: self.revision(2) and self.annotated("yes") and self.ready())
        with step("rolled back: revision 3 has the content of 1") as until:
            config = str(self.plane.kubeconfig("admin"))
            options = ("--to", "1", "--reason", "demo", "--yes", "--kubeconfig", config)
            command = [sys.executable, "-m", "kro_es.cli.history", "--database", self.operator.database]
            subprocess.run([*command, "rollback", self.name, *options], check=True, stdout=subprocess.DEVNULL)
            until(lambda: self.revision(3) and self.annotated(None) and self.ready())
        self.history("revisions", self.name)
        self.history("diff", f"{self.name}@1", f"{self.name}@2")
        self.history(
            "sql", "SELECT definition, revision, instances, done, seconds, reason FROM v_rollouts ORDER BY revision"
        )
        self.history("graph", f"application/{self.instances[0]['metadata']['name']}")


def main() -> None:
    once = os.environ.get("ONCE") == "1"
    try:
        plane = ControlPlane()
    except ControlPlaneMissing as error:
        raise SystemExit(f"demo: {error}") from error
    with ExitStack() as stack:
        with step("control plane is up"):
            stack.enter_context(plane)
        kubelet = FakeKubelet(plane.url, "kcm-token").start()
        stack.callback(kubelet.stop)
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kro-es-demo-")))
        operator = Operator(plane.kubeconfig("controller"), directory)
        stack.callback(operator.stop)
        with step("kro-es runs on a fresh SQLite log"):
            operator.start()
        Demo(plane, operator).run()
        if once:
            return
        console.print(f"\nKUBECONFIG={plane.kubeconfig('admin')}", highlight=False, soft_wrap=True)
        console.print(f"KRO_ES_DATABASE={operator.database}", highlight=False, soft_wrap=True)
        console.print("everything stays up until Ctrl-C")
        try:
            while operator.running:
                time.sleep(1)  # nothing to do but wait for the person
        except KeyboardInterrupt:
            console.print("stopping")


if __name__ == "__main__":
    main()
