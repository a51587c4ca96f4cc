"""docs/transcripts.md, written from a real run: an edit, a hand in a child, a rollback, and the questions about them."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.support.controlplane import ControlPlane
from tests.support.demo import Demo, step
from tests.support.kubelet import FakeKubelet
from tests.support.operator import Operator

ROOT = Path(__file__).parents[2]
PAGE, README = ROOT / "docs" / "transcripts.md", ROOT / "README.md"
SHOWN = ("rollback", "pin", "rollouts with a pin")
"""What the README shows too."""
_HEAD = """# What it looks like

Written by `python -m tests.support.transcripts` from a real run: an API server, the controller, the example
[application](../deploy/examples/application/definition.yaml) with two instances. Its definition is edited, somebody scales
a Deployment by hand, the definition is rolled back. Then one instance is pinned, and the definition is edited again. Times are
UTC.
"""


class Transcripts:
    """Commands with what they printed, in the order they were asked."""

    def __init__(self, demo: Demo) -> None:
        self._demo = demo
        self.blocks: dict[str, str] = {}

    def ask(self, title: str, *args: str, hidden: tuple[str, ...] = ()) -> None:
        """``hidden``: flags that belong to this run only."""
        command = [
            sys.executable,
            "-m",
            "kro_es.cli.history",
            "--database",
            self._demo.operator.database,
            "--utc",
            *args,
        ]
        done = subprocess.run(
            [*command, *hidden], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True
        )
        self.blocks[title] = f"$ kro-history {shlex.join(args)}\n{done.stdout.rstrip()}\n"

    def replicas(self, name: str) -> int:
        found: dict[str, Any] = json.loads(self._demo.plane.kubectl("get", "deployment", name, "-o", "json"))
        count: int = found["spec"]["replicas"]
        return count

    def settled(self, name: str, number: int) -> bool:
        sql = f"SELECT revision, ready FROM v_instances WHERE name = '{name}'"
        command = [sys.executable, "-m", "kro_es.cli.history", "--database", self._demo.operator.database]
        done = subprocess.run([*command, "sql", sql, "-o", "json"], text=True, capture_output=True, check=True)
        return bool(json.loads(done.stdout) == [{"revision": number, "ready": 1}])

    def record(self) -> None:
        demo = self._demo
        name = demo.instances[0]["metadata"]["name"]
        with step("definition and two instances") as until:
            demo.apply(demo.definition)
            until(lambda: demo.revision(1))
            demo.apply(*demo.instances)
            until(demo.ready)
        with step("an edit") as until:
            template = demo.definition["spec"]["resources"][0]["template"]
            template["metadata"].setdefault("annotations", {})["demo/edit"] = "yes"
            demo.apply(demo.definition)
            until(lambda: demo.revision(2) and demo.annotated("yes") and demo.ready())
        with step("a hand in a child") as until:
            wanted = self.replicas(name)
            demo.plane.kubectl("scale", "deployment", name, "--replicas", str(wanted + 3))
            until(lambda: self.replicas(name) == wanted and demo.ready())
        config = str(demo.plane.kubeconfig("admin"))
        with step("the rollback"):
            self.ask(
                "rollback", "rollback", demo.name, "--to", "1", "--reason", "the edit was a mistake", "--yes",
                hidden=("--kubeconfig", config),
            )  # fmt: skip
        with step("the questions"):
            self.ask("log", "log", f"application/{name}", "--limit", "14")
            self.ask("why", "why", f"deployment/{name}", "spec.replicas")
            self.ask("why of the rollback", "why", f"application/{name}")
            self.ask("graph", "graph", f"application/{name}")
            self.ask("rollouts", "rollouts", demo.name)
            self.ask("drift", "drift", demo.name)
        with step("a pin"):
            self.ask(
                "pin", "pin", f"application/{name}", "--to", "2", "--reason", "its migration is not done", "--yes",
                hidden=("--kubeconfig", config),
            )  # fmt: skip
        with step("an edit that one does not follow") as until:
            template["metadata"]["annotations"]["demo/edit"] = "again"
            demo.apply(demo.definition)
            until(lambda: demo.revision(4) and self.settled(demo.instances[1]["metadata"]["name"], 4))
        self.ask("rollouts with a pin", "rollouts", demo.name)
        self.ask("pins", "pins")


def page(blocks: dict[str, str]) -> str:
    return _HEAD + "".join(f"\n## {title}\n\n```\n{text}```\n" for title, text in blocks.items())


def shown(text: str, blocks: dict[str, str]) -> str:
    """The README with the transcripts it shows in their places."""
    for title in SHOWN:
        place = re.compile(rf"(<!-- from docs/transcripts.md: {title} -->\n).*?(<!-- /{title} -->)", re.DOTALL)
        block = blocks[title]
        text = place.sub(lambda found, block=block: f"{found[1]}```\n{block}```\n{found[2]}", text)  # type: ignore[misc]
    return text


def main() -> None:
    with ExitStack() as stack:
        plane = stack.enter_context(ControlPlane())
        kubelet = FakeKubelet(plane.url, "kcm-token").start()
        stack.callback(kubelet.stop)
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        operator = Operator(plane.kubeconfig("controller"), directory)
        stack.callback(operator.stop)
        operator.start()
        made = Transcripts(Demo(plane, operator))
        made.record()
    PAGE.write_text(page(made.blocks))
    README.write_text(shown(README.read_text(), made.blocks))


if __name__ == "__main__":
    main()
