"""``kro-es cel``: try an expression, check one against schemas, list the functions."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

import typer

from kro_es.cli.typed import Group
from kro_es.errors import UserError
from kro_es.settings import VERSION

if TYPE_CHECKING:
    from kro_es.api.objects import Gvk, JsonObject, JsonValue
    from kro_es.cel.declarations import Environment
    from kro_es.cel.types import CelType
    from kro_es.schema.openapi import Schema

app = typer.Typer(cls=Group, no_args_is_help=True, rich_markup_mode=None, help="Try expressions.")

Text = Annotated[str, typer.Argument(metavar="EXPR", help="The expression, without ${ }.", show_default=False)]
OnlyKro = Annotated[bool, typer.Option("--kro", help="Only the functions that kro itself has.")]
Cost = Annotated[bool, typer.Option("--cost", help="Print the cost on standard error.")]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_KIND = re.compile(r"(?:(?P<version>(?:[a-z0-9.-]+/)?v[a-z0-9]+)/)?(?P<kind>[A-Z][A-Za-z0-9]*)\Z")
_CRD = "CustomResourceDefinition"
_SCHEMA_WORDS = ("type", "properties", "additionalProperties", "items", "$ref", "allOf")


@app.command("eval")
def evaluate(
    expression: Text,
    variables: Annotated[str | None, typer.Option("--vars", help="YAML or JSON file, - for standard input.")] = None,
    only_kro: OnlyKro = False,
    cost: Cost = False,
) -> None:
    """Evaluate an expression and print its value as JSON. Variables are the entries of --vars."""
    from kro_es.cel.blame import blame
    from kro_es.cel.checker import check as check_types
    from kro_es.cel.compiler import compile_expression
    from kro_es.cel.errors import CelError
    from kro_es.cel.estimate import estimate
    from kro_es.cel.parser import parse
    from kro_es.cel.types import DYN
    from kro_es.cli.output import indented

    bindings = _bindings(variables) if variables is not None else {}
    checked = check_types(parse(expression, _environment(only_kro)), dict.fromkeys(bindings, DYN))
    compiled = compile_expression(checked)
    try:
        value, units = compiled.measure_json(bindings)
    except CelError as error:
        raise UserError(str(blame(checked, bindings, error))) from error
    typer.echo(indented(value))
    if cost:
        typer.echo(f"cost: {units} of {compiled.cost_limit}; expected {estimate(checked)}", err=True)


@app.command()
def check(  # noqa: PLR0913 - one parameter per flag
    expression: Text,
    schema: Annotated[
        list[str] | None,
        typer.Option(
            help="[NAME=]FILE or [NAME=]KIND: a variable and its type. A FILE holds a CRD or an OpenAPI schema; a KIND "
            "is written Deployment or apps/v1/Deployment. May be repeated."
        ),
    ] = None,
    from_cluster: Annotated[
        bool, typer.Option("--from-cluster", help="Kinds of the cluster, not those that ship.")
    ] = False,
    kubeconfig: Annotated[str | None, typer.Option(envvar="KUBECONFIG", help="Of --from-cluster.")] = None,
    context: Annotated[str | None, typer.Option(help="Of the kubeconfig.")] = None,
    only_kro: OnlyKro = False,
    cost: Cost = False,
) -> None:
    """Check an expression against schemas and print its type, or everything that is wrong with it."""
    from kro_es.cel.checker import check as check_types
    from kro_es.cel.compiler import compile_expression
    from kro_es.cel.estimate import estimate
    from kro_es.cel.parser import parse
    from kro_es.cel.types import type_name

    schemas: dict[str, Schema] = {}
    kinds: dict[str, tuple[str | None, str]] = {}
    for item in schema or ():
        name, equals, source = item.rpartition("=")
        if equals:
            _require_name(name, f"--schema {item}")
        if found := _KIND.match(source):
            kinds[name or _lower_camel(found["kind"])] = (found["version"], found["kind"])
        else:
            own_name, schemas_of_file = _schema(source)
            schemas[name or own_name] = schemas_of_file
    schemas |= _of_cluster(kinds, kubeconfig, context) if from_cluster else _shipped(kinds)
    checked = check_types(parse(expression, _environment(only_kro)), _types(schemas))
    compile_expression(checked)
    typer.echo(type_name(checked.result_type))
    if cost:
        typer.echo(f"cost: {estimate(checked)}", err=True)


@app.command()
def functions() -> None:
    """Print the functions expressions may call, as a page in Markdown."""
    from kro_es.cel.reference import page

    typer.echo(page(), nl=False)


def _environment(only_kro: bool) -> Environment:
    from kro_es.cel.declarations import FULL, KRO

    return KRO if only_kro else FULL


# -- variables


def _bindings(name: str) -> JsonObject:
    found = _document(name)
    if not isinstance(found, dict):
        raise UserError(f"{name}: expected variables as a map of names to values, found {type(found).__name__}")
    for variable in found:
        _require_name(variable, name)
    return found


def _require_name(name: str, where: str) -> None:
    if _NAME.match(name) is None:
        raise UserError(f"{where}: {name!r} is no variable: a letter or _, then letters, digits and _")


def _lower_camel(kind: str) -> str:
    return kind[:1].lower() + kind[1:]


def _types(schemas: dict[str, Schema]) -> dict[str, CelType]:
    from kro_es.cel.types import DYN, from_openapi

    return {name: from_openapi(schema, f"__type_{name}") or DYN for name, schema in schemas.items()}


def _document(name: str) -> JsonValue:
    """The one document of a file. Raises UserError with file, line and column."""
    from kro_es.authoring import sources
    from kro_es.authoring.yaml_reader import YamlError, read

    values = []
    for document in read(sources.read(name).text):
        if isinstance(document, YamlError):
            raise UserError(f"{name}:{document.place.line}:{document.place.column}: {document.message}")
        values.append(document.root.value)
    if len(values) != 1:
        raise UserError(f"{name}: one document is needed, there are {len(values)}")
    return values[0]


# -- schemas


def _schema(name: str) -> tuple[str, Schema]:
    """What a variable is called by default, and the schema in a file: of a CRD, the one of its storage version."""
    from kro_es.graph.published import of_crd
    from kro_es.schema.openapi import Schema

    document = _document(name)
    if isinstance(document, dict) and document.get("kind") == _CRD:
        served = {gvk.version: (gvk, kind) for gvk, kind in of_crd(document).items()}
        stored = [version["name"] for version in document["spec"]["versions"] if version.get("storage")]
        gvk, kind = served.get(stored[0] if stored else "") or next(iter(served.values()))
        return _lower_camel(gvk.kind), kind.schema
    if not isinstance(document, dict) or not any(word in document for word in _SCHEMA_WORDS):
        raise UserError(f"{name}: neither a {_CRD} nor an OpenAPI schema, which has a type or properties")
    return "schema", Schema(document, (document.get("components") or {}).get("schemas") or {})


def _shipped(kinds: dict[str, tuple[str | None, str]]) -> dict[str, Schema]:
    from kro_es.authoring.kinds import shipped

    there = shipped()
    found = {}
    for name, (version, kind) in kinds.items():
        fitting = [gvk for gvk in there.kinds if gvk.kind == kind and version in (None, gvk.api_version)]
        if len(fitting) != 1:
            shown = " or ".join(f"{gvk.api_version}/{kind}" for gvk in fitting)
            why = f"write {shown}" if fitting else f"Kubernetes {there.version} has none; --from-cluster asks a cluster"
            raise UserError(f"--schema {version + '/' if version else ''}{kind}: {why}")
        found[name] = there.kinds[fitting[0]].schema
    return found


def _of_cluster(
    kinds: dict[str, tuple[str | None, str]], kubeconfig: str | None, context: str | None
) -> dict[str, Schema]:
    from kro_es.api.objects import Gvk
    from kro_es.authoring.from_cluster import cluster_kinds
    from kro_es.errors import KindNotFound

    wanted: dict[str, Gvk] = {}
    for name, (version, kind) in kinds.items():
        if version is None:
            raise UserError(f"--schema {kind}: write the kind with its apiVersion, for example apps/v1/{kind}")
        wanted[name] = Gvk.parse(version, kind)
    served = cluster_kinds(wanted.values(), kubeconfig, context, version=VERSION)
    for gvk in wanted.values():
        if gvk not in served:
            raise KindNotFound(gvk.api_version, gvk.kind, group_known=True)
    return {name: served[gvk].schema for name, gvk in wanted.items()}
