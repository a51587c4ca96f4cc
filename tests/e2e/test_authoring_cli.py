"""kro-es validate, crd, instance, graph, diff, fmt and render as a user runs them; no cluster but for --from-cluster."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from kro_es.authoring.yaml_reader import Document, read
from tests.conftest import Cluster

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "deploy" / "examples"
WEBAPP = str(EXAMPLES / "webapp" / "definition.yaml")
README = (ROOT / "README.md").read_text()
OUTSIDE = {name: value for name, value in os.environ.items() if name != "KUBECONFIG"}


def run(*args: str, folder: Path = ROOT, stdin: str = "", code: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "kro_es.cli.operator", *args]
    done = subprocess.run(command, capture_output=True, text=True, input=stdin, cwd=folder, env=OUTSIDE, timeout=60)
    assert done.returncode == code, (done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    return done


def broken(tmp_path: Path) -> Path:
    file = tmp_path / "definition.yaml"
    file.write_text(Path(WEBAPP).read_text().replace("schema.spec.image}", "schema.spec.imag}"))
    return file


# -- validate


def test_the_examples_are_valid_and_the_first_line_says_so() -> None:
    assert run("validate", "deploy/examples").stdout == "4 definitions checked, no errors\n"


@pytest.mark.parametrize("form", ["text", "json", "sarif", "github"])
def test_an_error_is_told_with_its_place_in_every_form(tmp_path: Path, form: str) -> None:
    file = broken(tmp_path)
    out = run("validate", str(file), "-o", form, code=1).stdout
    line = next(number for number, text in enumerate(file.read_text().splitlines(), 1) if "spec.imag}" in text)
    column = file.read_text().splitlines()[line - 1].index(".imag}") + 1
    wanted = {
        "text": f"definition.yaml:{line}:{column}: error[expression-type]: ",
        "json": f'"line": {line},\n    "column": {column}',
        "sarif": f'"startLine": {line},\n                  "startColumn": {column}',
        "github": f"line={line},col={column},title=expression-type::",
    }
    assert wanted[form] in out
    if form in ("json", "sarif"):
        json.loads(out)


def test_standard_input_and_several_files_are_taken_together(tmp_path: Path) -> None:
    text = broken(tmp_path).read_text()
    found = json.loads(run("validate", "-", WEBAPP, "-o", "json", stdin=f"{text}---\nkind: Pod\n", code=1).stdout)
    assert [(entry["file"], entry["document"], entry["code"]) for entry in found] == [
        ("-", 1, "expression-type"),
        (WEBAPP, 1, "duplicate-definition"),
        (WEBAPP, 1, "duplicate-definition"),
    ]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["validate", "missing.yaml"], "missing.yaml: error[file]: No such file or directory"),
        (["validate", "-"], "-: error[no-definition]: no ResourceGraphDefinition here"),
        (["validate", WEBAPP, "--kubernetes-version", "1.12"], "there are 1.36"),
        (["validate", WEBAPP, "--crds", "missing"], "missing: No such file or directory"),
        (["validate", WEBAPP, "--from-cluster", "--kubernetes-version", "1.36"], "exclude each other"),
        (["diff", WEBAPP, "missing.yaml"], "No such file or directory"),
        (["crd", "deploy/examples"], "has 4 definitions, one is needed"),
        (["fmt", "missing.yaml"], "missing.yaml: No such file or directory"),
        (["render", WEBAPP, "--instance", "deploy/examples/webapp/instances.yaml"], "one object is needed, there are 3"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_ends_with_two(args: list[str], message: str) -> None:
    done = run(*args, code=2)
    assert message in done.stdout + done.stderr


def test_crds_add_kinds(tmp_path: Path) -> None:
    (tmp_path / "user.yaml").write_text(
        "apiVersion: kro.run/v1alpha1\nkind: ResourceGraphDefinition\nmetadata: {name: users}\n"
        "spec:\n  schema: {apiVersion: v1alpha1, kind: User}\n  resources:\n    - id: app\n      template:\n"
        "        apiVersion: kro.run/v1alpha1\n        kind: WebApp\n        metadata: {name: x}\n"
        "        spec: {replicas: 'three'}\n"
    )
    (tmp_path / "crds").mkdir()
    (tmp_path / "crds" / "webapp.yaml").write_text(run("crd", WEBAPP).stdout)
    assert "error[kind-unknown]" in run("validate", "user.yaml", folder=tmp_path, code=1).stdout
    out = run("validate", "user.yaml", "--crds", "crds", folder=tmp_path, code=1).stdout
    assert "user.yaml:12:26: error[field-type]: " in out


def test_the_cluster_can_be_asked_instead(cluster: Cluster, tmp_path: Path) -> None:
    config = str(cluster.kubeconfig())
    assert run("validate", "deploy/examples", "--from-cluster", "--kubeconfig", config).stdout.endswith("no errors\n")
    wrong = broken(tmp_path)
    texts = [
        run("validate", str(wrong), "-o", "json", *flags, code=1).stdout
        for flags in ([], ["--from-cluster", "--kubeconfig", config])
    ]
    assert texts[0] == texts[1]
    gone = run("validate", WEBAPP, "--from-cluster", "--kubeconfig", str(tmp_path / "none"), code=2)
    assert "no usable cluster configuration" in gone.stderr


# -- the other commands


def test_the_crd_is_one_the_api_server_takes(cluster: Cluster) -> None:
    for file in sorted(EXAMPLES.glob("*/definition.yaml")):
        text = run("crd", str(file)).stdout
        cluster.kubectl("create", "--dry-run=server", "--validate=strict", "-f", "-", input=text)
        assert json.loads(run("crd", str(file), "-o", "json").stdout)["kind"] == "CustomResourceDefinition"


def test_a_sample_can_be_rendered(tmp_path: Path) -> None:
    sample = tmp_path / "sample.yaml"
    sample.write_text(run("instance", WEBAPP).stdout)
    first = run("render", WEBAPP, "--instance", str(sample)).stdout
    assert [line for line in first.splitlines() if line.startswith("# ")][:4] == [
        "# step 1",
        "# deployment: apply",
        "# step 2",
        '# service: pending: node "service": dependent node "deployment" not ready: '
        'node "deployment": no observed state: waiting for readiness (data pending)',
    ]
    (document,) = (item for item in read(first) if isinstance(item, Document) and item.root.value)
    live = document.root.value
    live["metadata"]["generation"] = 1
    live["status"] = {"observedGeneration": 1, "updatedReplicas": 1, "availableReplicas": 1}
    observed = tmp_path / "live.yaml"
    observed.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": [live]}))
    done = run("render", WEBAPP, "--instance", str(sample), "--observed", str(observed), "-o", "json")
    states = {item["id"]: item["state"] for item in json.loads(done.stdout)["resources"]}
    assert states == {"deployment": "apply", "service": "apply", "ingress": "skipped"}
    assert json.loads(done.stdout)["status"]["availableReplicas"] == 1


def test_an_instance_the_server_would_refuse_is_refused(tmp_path: Path) -> None:
    sample = tmp_path / "sample.yaml"
    sample.write_text(run("instance", WEBAPP).stdout.replace("replicas: 1 ", "replicas: 21 "))
    done = run("render", WEBAPP, "--instance", str(sample), code=1)
    assert "kro-es: spec.replicas maximum must be at most 20, got 21" in done.stderr


@pytest.mark.parametrize(
    ("form", "start"), [("text", "1  "), ("dot", "digraph"), ("mermaid", "flowchart"), ("svg", "<svg")]
)
def test_a_graph_is_drawn(form: str, start: str) -> None:
    assert run("graph", WEBAPP, "-o", form).stdout.startswith(start)


@pytest.mark.parametrize(
    ("old", "new", "code", "line"),
    [
        ("", "", 0, "no difference"),
        ("maximum=20", "maximum=30", 0, "compatible    .properties.spec.properties.replicas.maximum: "),
        ("maximum=20", "maximum=10", 1, "breaking      .properties.spec.properties.replicas.maximum: "),
        ("port: 80", "port: 81", 0, "    template.spec.ports[0].port: changed from 80 to 81"),
    ],
)
def test_a_difference_says_whether_it_breaks(tmp_path: Path, old: str, new: str, code: int, line: str) -> None:
    changed = tmp_path / "new.yaml"
    changed.write_text(Path(WEBAPP).read_text().replace(old, new))
    assert line in run("diff", WEBAPP, str(changed), code=code).stdout
    assert json.loads(run("diff", WEBAPP, str(changed), "-o", "json", code=code).stdout)["breaking"] == (code == 1)


def test_fmt_checks_writes_and_filters(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("# kept\na:\n- b:   1 # too\n")
    assert run("fmt", "--check", str(file), code=1).stdout == f"{file}: would change\n"
    assert file.read_text().endswith("- b:   1 # too\n")
    assert run("fmt", str(tmp_path)).stdout == f"{file}: laid out anew\n"
    assert file.read_text() == "# kept\na:\n  - b: 1 # too\n"
    assert run("fmt", "--check", str(file)).stdout == ""
    assert run("fmt", "-", stdin="a:   1").stdout == "a: 1\n"
    file.write_text("a: [")
    assert f"{file}: 1:5: " in run("fmt", str(file), code=2).stderr


def test_the_commands_start_without_the_controller() -> None:
    text = "import sys, kro_es.cli.operator as o; sys.argv = ['kro-es', 'validate', 'deploy/examples']\ntry: o.main()\n"
    text += "except SystemExit: print(sorted(m for m in sys.modules if m in ('sqlalchemy', 'kubernetes', 'aiohttp', 'rich')))"
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr


def test_standard_input_is_read_once() -> None:
    for words in (("render", "-", "--instance", "-"), ("diff", "-", "-")):
        done = run(*words, stdin=Path(WEBAPP).read_text(), code=2)
        assert done.stderr == "kro-es: -: standard input can be one of these files, and no more\n"


# -- the transcript of the README


def transcript() -> list[tuple[str, str]]:
    """Commands of the section with what they print."""
    (section,) = re.findall(r"^## Write a definition\n(.*?)^## ", README, re.MULTILINE | re.DOTALL)
    (shown,) = re.findall(r"^```console\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    found = re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", shown, re.MULTILINE)
    assert found
    return found


def test_the_readme_shows_what_the_commands_print(tmp_path: Path) -> None:
    (tmp_path / "webapp.yaml").write_text(Path(WEBAPP).read_text())
    for command, shown in transcript():
        program = command.replace("kro-es ", f"{sys.executable} -m kro_es.cli.operator ")
        env = {**OUTSIDE, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(program, shell=True, capture_output=True, text=True, cwd=tmp_path, env=env, timeout=60)
        assert done.stdout + done.stderr == shown, command
