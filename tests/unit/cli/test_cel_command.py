"""``kro-es cel`` as a user runs it: values and types on standard output, faults with their place on standard error."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from kro_es.cli.operator import main


class Kro:
    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def __call__(self, *args: str) -> tuple[int, str, str]:
        """Exit code, standard output, standard error."""
        self._monkeypatch.setattr("sys.argv", ["kro-es", "cel", *args])
        with pytest.raises(SystemExit) as caught:
            main()
        captured = self._capsys.readouterr()
        return int(caught.value.code or 0), captured.out, captured.err


@pytest.fixture
def kro(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Kro:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    return Kro(monkeypatch, capsys)


@pytest.fixture
def variables(tmp_path: Path) -> str:
    file = tmp_path / "vars.yaml"
    file.write_text("name: shop\nports: [80, 443]\nwhen: 2025-03-01T10:20:30Z\nspec: {replicas: 3, ratio: 1.0}\n")
    return str(file)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1 + 2", 3),
        ("ports.map(p, p + 8000)", [8080, 8443]),
        ('{"app": name, "replicas": spec.replicas}', {"app": "shop", "replicas": 3}),
        ('when + "!"', "2025-03-01T10:20:30Z!"),
        ("spec.?missing.orValue(null)", None),
        ('"é" + "😀" + "[red]"', "é😀[red]"),
        ("spec.ratio", 1.0),
    ],
)
def test_a_value_is_printed_as_json(kro: Kro, variables: str, text: str, value: object) -> None:
    code, out, err = kro("eval", text, "--vars", variables)
    assert (code, json.loads(out), err) == (0, value, "")


def test_variables_come_from_standard_input(kro: Kro, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b'{"x": [1, 2]}')))
    assert kro("eval", "size(x)", "--vars", "-")[:2] == (0, "2\n")


@pytest.mark.parametrize(
    ("text", "message", "line", "caret"),
    [
        ("1 +", "Syntax error", " | 1 +", " | ...^"),
        ("name + nam", "undeclared reference to 'nam'", " | name + nam", " | .......^"),
        ("[1].map(i, i) == [1 + 4 / 0]", "division by zero", " | [1].map(i, i) == [1 + 4 / 0]", " | " + "." * 24 + "^"),
        ("size(name) + spec.gone", "no such key: gone", " | size(name) + spec.gone", " | " + "." * 17 + "^"),
        ("true &&\n  ports[7] > 0", "index out of bounds: 7", " |   ports[7] > 0", " | .......^"),
        ("uint(18446744073709551615u)", "overflows int64", " | uint(18446744073709551615u)", " | ....^"),
    ],
)
def test_a_fault_is_shown_with_its_place(
    kro: Kro, variables: str, text: str, message: str, line: str, caret: str
) -> None:
    code, out, err = kro("eval", text, "--vars", variables)
    assert (code, out) == (1, "")
    first, *rest = err.splitlines()
    assert first.startswith("kro-es: ERROR: <input>:")
    assert message in first
    assert rest[:2] == [line, caret]


def test_the_excerpt_of_a_line_longer_than_a_terminal_is_not_folded(kro: Kro) -> None:
    text = " + ".join(["1"] * 100) + " + x"
    assert kro("eval", text)[2].splitlines()[1:] == [f" | {text}", f" | {'.' * 400}^"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a: [1", "vars.yaml:1:"),
        ("- 1", "expected variables as a map of names to values, found list"),
        ("1: a", "'1' is no variable"),
        ("a-b: 1", "'a-b' is no variable"),
        ("a: {b: [{[2]: c}]}", "vars.yaml:1:"),
        ("a: 1\n---\na: 2", "one document is needed, there are 2"),
        ("", "one document is needed, there are 0"),
    ],
)
def test_variables_that_are_none_are_refused_with_their_place(
    kro: Kro, tmp_path: Path, content: str, message: str
) -> None:
    file = tmp_path / "vars.yaml"
    file.write_text(content)
    code, out, err = kro("eval", "1", "--vars", str(file))
    assert (code, out) == (1, "")
    assert err.startswith("kro-es: ")
    assert message in err


def test_a_file_that_is_not_there_is_named(kro: Kro) -> None:
    assert kro("eval", "1", "--vars", "gone.yaml")[2] == "kro-es: gone.yaml: No such file or directory\n"


def test_the_cost_is_printed_beside_the_value(kro: Kro, variables: str) -> None:
    code, out, err = kro("eval", "ports.all(p, p > 0)", "--vars", variables, "--cost")
    assert (code, out) == (0, "true\n")
    assert err == "cost: 12 of 10000000; expected at least 2, growing with the data\n"


# -- check


@pytest.fixture
def schema(tmp_path: Path) -> str:
    file = tmp_path / "schema.json"
    spec = {"type": "object", "properties": {"name": {"type": "string"}, "replicas": {"type": "integer"}}}
    file.write_text(json.dumps({"type": "object", "properties": {"spec": spec}}))
    return str(file)


@pytest.mark.parametrize(
    ("text", "of"),
    [
        ("schema.spec.replicas + 1", "int"),
        ("[schema.spec.name]", "list(string)"),
        ("schema.spec", "__type_schema.spec"),
        ("schema.?spec.?name", "optional_type(string)"),
        ('timestamp("2025-03-01T10:20:30Z")', "google.protobuf.Timestamp"),
    ],
)
def test_the_type_of_an_expression_is_printed(kro: Kro, schema: str, text: str, of: str) -> None:
    assert kro("check", text, "--schema", schema) == (0, f"{of}\n", "")


def test_a_variable_may_have_any_name_and_there_may_be_several(kro: Kro, schema: str) -> None:
    assert (
        kro("check", "a.spec.name + b.spec.name", "--schema", f"a={schema}", "--schema", f"b={schema}")[1] == "string\n"
    )


def test_a_crd_gives_the_type_of_its_kind(kro: Kro) -> None:
    crd = "deploy/crds/kro.run_resourcegraphdefinitions.yaml"
    text = "resourceGraphDefinition.metadata.name + resourceGraphDefinition.spec.schema.kind"
    assert kro("check", text, "--schema", crd) == (0, "string\n", "")


def test_every_fault_is_shown(kro: Kro, schema: str) -> None:
    code, out, err = kro("check", "schema.spec.nam + 1\n+ schema.status", "--schema", schema)
    assert (code, out) == (1, "")
    assert "ERROR: <input>:1:12: undefined field 'nam'\n | schema.spec.nam + 1\n | ...........^" in err
    assert "ERROR: <input>:2:9: undefined field 'status'\n | + schema.status\n | ........^" in err


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("Gadget", "Gadget: Kubernetes v1"),
        ("example.com/v1/Deployment", "example.com/v1/Deployment: Kubernetes v1"),
        ("Event", "Event: write v1/Event or events.k8s.io/v1/Event"),
        ("gone.yaml", "gone.yaml: No such file or directory"),
        ("1a=gone.yaml", "'1a' is no variable"),
        ("deploy/kustomization.yaml", "neither a CustomResourceDefinition nor an OpenAPI schema"),
        ("uv.lock", "uv.lock:"),
    ],
)
def test_a_schema_that_cannot_be_had_is_named(kro: Kro, source: str, message: str) -> None:
    code, out, err = kro("check", "true", "--schema", source)
    assert (code, out) == (1, "")
    assert message in err


def test_kinds_that_ship_need_no_cluster(kro: Kro) -> None:
    text = 'deployment.status.readyReplicas > 0 && svc.spec.ports.exists(p, p.name == "http")'
    assert kro("check", text, "--schema", "Deployment", "--schema", "svc=v1/Service") == (0, "bool\n", "")


def test_a_cluster_that_cannot_be_asked_is_an_error(kro: Kro, tmp_path: Path) -> None:
    where = ("--from-cluster", "--kubeconfig", str(tmp_path / "none"))
    assert "no usable cluster configuration" in kro("check", "true", "--schema", "v1/Pod", *where)[2]
    assert "for example apps/v1/Pod" in kro("check", "true", "--schema", "Pod", *where)[2]


def test_what_kro_does_not_have_is_refused_on_request(kro: Kro) -> None:
    assert kro("check", "math.abs(-1)")[:2] == (0, "int\n")
    assert "undeclared reference" in kro("check", "math.abs(-1)", "--kro")[2]
    assert "undeclared reference" in kro("eval", "math.abs(-1)", "--kro")[2]


def test_the_functions_are_printed_as_the_page_in_the_documents(kro: Kro) -> None:
    assert kro("functions")[:2] == (0, Path("docs/functions.md").read_text())
