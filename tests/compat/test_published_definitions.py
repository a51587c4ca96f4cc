"""The definitions that come with kro 0.9.4, fetched as a Go module: kro's own controller takes or refuses each just so."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

from kro_es.api.objects import Gvk, JsonObject
from kro_es.authoring.crds import crd_kinds
from kro_es.authoring.kinds import shipped
from kro_es.authoring.project import load
from kro_es.authoring.sources import Source
from kro_es.authoring.validate import validate
from kro_es.schema.openapi import KindSchema

MODULE = "github.com/kubernetes-sigs/kro@v0.9.4"
FETCH_SECONDS = 60
_DEFINITION = re.compile(r"^kind: ResourceGraphDefinition\s*$", re.MULTILINE)
_ACK = "examples/aws/ack-controller"
REFUSED: dict[str, set[str]] = {
    **{
        f"{_ACK}/controllers/{name}-controller.yaml": {"schema"}
        for name in ("ec2", "ecr", "ecr-public", "eks", "s3", "sqs")
    },
    f"{_ACK}/controllers/iam-controller.yaml": {"expression-type"},
    f"{_ACK}/resourcegroup.yaml": {"schema"},
    "examples/aws/ack-eks-cluster/eks-reused.yaml": {"name-unknown"},
    "examples/aws/eks-cluster-mgmt/charts/kro/resource-groups/eks/rg-eks-basic.yaml": {"field-unknown"},
    "examples/aws/llm/llm.yaml": {"type-mismatch"},
    "examples/gcp/gemma-on-tpu/rgd.yaml": {"field-unknown", "resource-form"},
    "examples/kubernetes/core-dns/core-dns.yaml": {"yaml"},
}
"""Files with definitions that kro refuses, or that kubectl does not send; kinds that are not installed left aside."""


@cache
def module() -> Path:
    if shutil.which("go") is None:
        pytest.skip("Go is needed to fetch kro's definitions")
    command = ["go", "mod", "download", "-json", MODULE]
    try:
        done = subprocess.run(command, cwd="/", capture_output=True, text=True, timeout=FETCH_SECONDS)
    except subprocess.TimeoutExpired:
        pytest.skip(f"{MODULE} was not fetched within {FETCH_SECONDS} s")
    found = json.loads(done.stdout or "{}")
    if done.returncode or "Dir" not in found:
        pytest.skip(f"{MODULE} cannot be fetched: {found.get('Error') or done.stderr[-300:]}")
    return Path(found["Dir"])


@cache
def files() -> dict[str, str]:
    """Path in the module to text; what a test expects to see of a definition is none."""
    root = module()
    texts = {
        str(path.relative_to(root)): path.read_text()
        for path in sorted(root.rglob("*.yaml"))
        if "assert" not in path.name
    }
    return {name: text for name, text in texts.items() if _DEFINITION.search(text)}


def digest(crd: JsonObject) -> str:
    spec = crd["spec"]
    part = {name: spec[name] for name in ("names", "scope", "versions")}
    return hashlib.sha256(json.dumps(part, sort_keys=True).encode()).hexdigest()[:16]


@cache
def kinds() -> dict[Gvk, KindSchema]:
    return {**shipped().kinds, **crd_kinds([str(module() / "test" / "integration" / "crds")])}


def test_the_generated_crds_are_those_kro_wrote() -> None:
    """``generated_crds.json``: names, scope and versions of the CRDs in a cluster where kro 0.9.4 ran."""
    written = json.loads(Path(__file__).with_name("generated_crds.json").read_text())
    found: dict[str, dict[str, str]] = {}
    for name in written:
        project = load([Source(name, files()[name])])
        validate(project, kinds())
        found[name] = {entry.definition.name: digest(entry.graph.crd) for entry in project.entries if entry.graph}
    assert found == written


def test_kro_and_we_refuse_the_same_definitions() -> None:
    refused: dict[str, set[str]] = {}
    for name, text in files().items():
        report = validate(load([Source(name, text)]), kinds())
        codes = {item.code for item in report.findings if item.severity == "error"} - {"kind-unknown"}
        if codes:
            refused[name] = codes
    assert len(files()) == 89
    assert refused == REFUSED
