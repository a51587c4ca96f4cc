"""The project's own promises: documented packages; Makefile, README, image and examples that agree with each other."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted((ROOT / "kro_es").rglob("*.py"))
EXAMPLES = sorted(path for path in (ROOT / "deploy" / "examples").iterdir() if path.is_dir())
MAKEFILE = (ROOT / "Makefile").read_text()
README = (ROOT / "README.md").read_text()
DOCKERFILE = (ROOT / "Dockerfile").read_text()
MAKE_TARGETS = frozenset(re.findall(r"^([a-z]+):", MAKEFILE, re.MULTILINE))
AGGREGATION_LABEL = "rbac.kro.run/aggregate-to-controller"
CHILD_VERBS = {"get", "list", "watch", "create", "patch", "delete"}
INSTANCE_VERBS = {"get", "list", "watch", "patch"}


def documents(path: Path) -> list[Any]:
    return [document for document in yaml.safe_load_all(path.read_text()) if document is not None]


def only_document(path: Path) -> Any:
    (document,) = documents(path)
    return document


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_says_what_it_is_for(module: Path) -> None:
    assert ast.get_docstring(ast.parse(module.read_text()))


MOST_LINES, MOST_OF_FUNCTION = 400, 40
LONG_FUNCTIONS = {
    "store/tables.py": {"_log"},  # a declaration: the tables of the log, column by column
    "decisions/load.py": {"load"},  # a listing: everything a decision reads, a line each
}


def lines_of(function: ast.FunctionDef | ast.AsyncFunctionDef, *, with_signature: bool) -> int:
    """Without the docstring."""
    words = len(function.body[0].value.value.splitlines()) if ast.get_docstring(function) else 0  # type: ignore[attr-defined]
    first = function.lineno if with_signature else function.body[0].lineno
    assert function.end_lineno is not None
    return function.end_lineno - first + 1 - words


def test_modules_and_functions_are_short_enough_to_be_read_at_once() -> None:
    """A command's signature lists its options, each with its help: it does not count."""
    long: dict[str, set[str]] = {}
    for module in MODULES:
        name, text = module.relative_to(ROOT / "kro_es").as_posix(), module.read_text()
        assert len(text.splitlines()) <= MOST_LINES, name
        functions = [
            node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        ]
        for function in functions:
            if lines_of(function, with_signature=not name.startswith("cli/")) > MOST_OF_FUNCTION:
                long.setdefault(name, set()).add(function.name)
    assert long == LONG_FUNCTIONS


def test_every_folder_with_modules_is_a_package() -> None:
    assert {path.parent for path in MODULES} == {path.parent for path in MODULES if path.name == "__init__.py"}


def test_the_readme_names_only_targets_the_makefile_has() -> None:
    named = set(re.findall(r"^make ([a-z]+)", README, re.MULTILINE)) | set(re.findall(r"`make ([a-z]+)", README))
    assert named
    assert named <= MAKE_TARGETS


def test_help_names_every_target() -> None:
    assert set(re.findall(r"@echo 'make ([a-z]+)", MAKEFILE)) == MAKE_TARGETS - {"help"}


def test_the_readme_names_every_test_tier() -> None:
    tiers = {path.name for path in (ROOT / "tests").iterdir() if any(path.glob("**/test_*.py"))}
    assert tiers
    assert [tier for tier in sorted(tiers) if f"`{tier}`" not in README] == []


def test_the_readme_names_every_package() -> None:
    packages = {path.parent.name for path in (ROOT / "kro_es").glob("*/__init__.py")}
    assert [package for package in sorted(packages) if f"`{package}`" not in README] == []


def test_links_in_the_readme_lead_somewhere() -> None:
    targets = re.findall(r"\]\((?!https?:|#)([^)#]+)", README)
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_the_readme_lists_what_is_on_the_page_in_order() -> None:
    titles = re.findall(r"^## (.+)$", README, re.MULTILINE)
    anchors = [re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-") for title in titles]
    listed = re.findall(r"\[([^\]]+)\]\(#([^)]+)\)", README[: README.index("## ")])
    assert listed == list(zip(titles, anchors, strict=True))[1:]


def test_the_readme_names_the_programs_an_installation_brings() -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    (line,) = re.findall(r"^`pip install \.` brings .*$", README, re.MULTILINE)
    assert set(re.findall(r"`(k[a-z-]+)`", line)) == set(scripts) - {"kubectl-history"}


def test_image_and_makefile_install_with_the_same_uv() -> None:
    (in_makefile,) = re.findall(r"^UV_VERSION = (\S+)$", MAKEFILE, re.MULTILINE)
    assert re.findall(r"uv==([0-9.]+)", DOCKERFILE) == [in_makefile]


def test_the_image_is_built_on_a_pinned_python_we_support() -> None:
    bases = set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE))
    assert len(bases) == 1
    (version,) = re.findall(r"^python:(3\.\d+\.\d+)-slim-\w+$", bases.pop())
    lowest = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"].removeprefix(">=")
    assert tuple(map(int, version.split("."))) >= tuple(map(int, lowest.split(".")))


def test_image_deployment_and_package_carry_one_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    (container,) = only_document(ROOT / "deploy" / "deployment.yaml")["spec"]["template"]["spec"]["containers"]
    assert container["image"] == f"kro-es:{version}"


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_an_example_has_a_definition_and_at_least_two_instances_of_it(example: Path) -> None:
    schema = only_document(example / "definition.yaml")["spec"]["schema"]
    instances = documents(example / "instances.yaml")
    api_version = f"{schema.get('group', 'kro.run')}/{schema['apiVersion']}"
    assert {(instance["apiVersion"], instance["kind"]) for instance in instances} == {(api_version, schema["kind"])}
    assert len({instance["metadata"]["name"] for instance in instances}) == len(instances) >= 2


def rules_by_resource(role: Any) -> dict[tuple[str, str], set[str]]:
    return {
        (group, resource): set(rule["verbs"])
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_the_role_of_an_example_covers_its_kinds_and_no_others(example: Path) -> None:
    definition = only_document(example / "definition.yaml")
    role = only_document(example / "rbac.yaml")
    schema = definition["spec"]["schema"]
    kind = schema["kind"].lower()
    plural = kind + ("es" if kind.endswith("s") else "s")
    own = (schema.get("group", "kro.run"), plural)
    rules = rules_by_resource(role)
    assert role["metadata"]["labels"] == {AGGREGATION_LABEL: "true"}
    assert rules.pop(own) >= INSTANCE_VERBS
    assert rules.pop((own[0], f"{plural}/status")) >= {"get", "patch"}
    assert rules == {child_resource(resource["template"]): CHILD_VERBS for resource in definition["spec"]["resources"]}


def child_resource(template: Any) -> tuple[str, str]:
    group, _, _ = template["apiVersion"].rpartition("/")
    kind = template["kind"].lower()
    return group, kind + ("es" if kind.endswith("s") else "s")
