"""``kro-es cel``: try an expression, check one against schemas, list the functions."""

from __future__ import annotations

import re
import sys
from collections.abc import Hashable
from pathlib import Path
from typing import Annotated

import typer
import yaml
from rich.console import Console

from kro_es.api.objects import Gvk, JsonValue
from kro_es.cel.blame import blame
from kro_es.cel.checker import check as check_types
from kro_es.cel.compiler import compile_expression
from kro_es.cel.declarations import FULL, KRO, Environment
from kro_es.cel.errors import CelError
from kro_es.cel.estimate import estimate
from kro_es.cel.overloads import Overload
from kro_es.cel.parser import parse
from kro_es.cel.types import DYN, CelType, from_openapi, type_name
from kro_es.cli.output import Format, show
from kro_es.cli.schemas import kinds_of_cluster, schema_of_document
from kro_es.errors import UserError
from kro_es.schema.openapi import Schema

app = typer.Typer(no_args_is_help=True, help="Try expressions.")
Text = Annotated[str, typer.Argument(metavar="EXPR", help="The expression, without ${ }.", show_default=False)]
OnlyKro = Annotated[bool, typer.Option("--kro", help="Only the functions that kro itself has.")]
Cost = Annotated[bool, typer.Option("--cost", help="Print the cost on standard error.")]
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*$")
_KIND = re.compile(r"(?:([a-z0-9.-]+)/)?(v[a-z0-9]+)/([A-Z][A-Za-z0-9]*)$")
_BARE_KIND = re.compile(r"[A-Z][A-Za-z0-9]*$")


class _Failed(CelError):
    """An evaluation that failed, with its place."""


class _Loader(yaml.SafeLoader):
    """YAML as JSON has it: a date is a text."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - as the base class declares it
        first: [found for found in resolvers if found[0] != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


@app.command("eval")
def evaluate(
    expression: Text,
    variables: Annotated[str | None, typer.Option("--vars", help="YAML or JSON file, - for standard input.")] = None,
    only_kro: OnlyKro = False,
    cost: Cost = False,
) -> None:
    """Evaluate an expression and print its value as JSON. Variables are the entries of --vars."""
    bindings = _bindings(variables) if variables is not None else {}
    checked = check_types(parse(expression, _environment(only_kro)), dict.fromkeys(bindings, DYN))
    compiled = compile_expression(checked)
    try:
        value, units = compiled.measure_json(bindings)
    except CelError as error:
        raise _Failed(str(blame(checked, bindings, error))) from error
    show(value, Format.JSON)
    if cost:
        _note(f"cost: {units} of {compiled.cost_limit}; expected {estimate(checked)}")


@app.command()
def check(
    expression: Text,
    schema: Annotated[
        list[str] | None,
        typer.Option(
            help="[NAME=]FILE or [NAME=]apiVersion/Kind: a variable and its type. A FILE holds a CRD or an OpenAPI "
            "schema; the schema of a kind is the cluster's. May be repeated."
        ),
    ] = None,
    kubeconfig: Annotated[str | None, typer.Option(envvar="KUBECONFIG", help="Where kinds are looked up.")] = None,
    context: Annotated[str | None, typer.Option(help="Context of the kubeconfig.")] = None,
    only_kro: OnlyKro = False,
    cost: Cost = False,
) -> None:
    """Check an expression against schemas and print its type, or everything that is wrong with it."""
    types = _variables(schema or [], kubeconfig, context)
    checked = check_types(parse(expression, _environment(only_kro)), types)
    compile_expression(checked)
    Console(soft_wrap=True).print(type_name(checked.result_type), highlight=False, markup=False)
    if cost:
        _note(f"cost: {estimate(checked)}")


@app.command()
def functions(only_kro: OnlyKro = False) -> None:
    """Print the functions and operators as a Markdown table."""
    lines = ["| function | forms | kro |", "| --- | --- | --- |"]
    for name, overloads in sorted(_environment(only_kro).functions.items()):
        forms = dict.fromkeys(map(str, overloads))
        lines.append(f"| `{name}` | {'<br>'.join(f'`{form}`' for form in forms)} | {_in_kro(name, overloads)} |")
    Console(soft_wrap=True).print("\n".join(lines).replace("||", r"\|\|"), highlight=False, markup=False)


def _in_kro(name: str, overloads: tuple[Overload, ...]) -> str:
    theirs = KRO.functions.get(name, ())
    return "no" if not theirs else "yes" if set(overloads) <= set(theirs) else "in part"


def _environment(only_kro: bool) -> Environment:
    return KRO if only_kro else FULL


def _note(text: str) -> None:
    Console(stderr=True, soft_wrap=True).print(text, highlight=False, markup=False)


# -- variables


def _bindings(name: str) -> dict[str, JsonValue]:
    found = _document(name)
    if not isinstance(found, dict):
        raise UserError(f"{name}: expected variables as a map of names to values, found {type(found).__name__}")
    for variable in found:
        _require_name(variable, name)
    return found


def _variables(given: list[str], kubeconfig: str | None, context: str | None) -> dict[str, CelType]:
    schemas: dict[str, Schema] = {}
    kinds: dict[str, Gvk] = {}
    for item in given:
        name, equals, source = item.rpartition("=")
        if equals:
            _require_name(name, f"--schema {item}")
        kind = _KIND.match(source)
        if kind is not None and not Path(source).exists():
            gvk = Gvk(kind[1] or "", kind[2], kind[3])
            kinds[name or _lower_camel(gvk.kind)] = gvk
        elif _BARE_KIND.match(source) and not Path(source).exists():
            raise UserError(f"--schema {item}: write the kind with its apiVersion, for example apps/v1/Deployment")
        else:
            own_name, schema = schema_of_document(source, _document(source))
            schemas[name or _lower_camel(own_name)] = schema
    if kinds:
        served = kinds_of_cluster(kinds.values(), kubeconfig, context)
        schemas |= {name: served[gvk].schema for name, gvk in kinds.items()}
    return {name: from_openapi(schema, f"__type_{name}") or DYN for name, schema in schemas.items()}


def _lower_camel(kind: str) -> str:
    return kind[:1].lower() + kind[1:]


def _require_name(name: str, where: str) -> None:
    if _NAME.match(name) is None:
        raise UserError(f"{where}: {name!r} is no variable: a letter or _, then letters, digits and _")


def _document(name: str) -> JsonValue:
    """The JSON value in a YAML or JSON file. Raises UserError with file, line and column."""
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
        found = yaml.load(text, _Loader)  # noqa: S506 - a subclass of the safe loader
    except OSError as error:
        raise UserError(f"{name}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UserError(f"{name}: not a text in UTF-8") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"{mark.line + 1}:{mark.column + 1}: " if mark else ""
        raise UserError(f"{name}:{place or ' '}{error.problem}") from None
    except (yaml.YAMLError, RecursionError) as error:
        raise UserError(f"{name}: {error}") from None
    _require_json(found, name)
    return found


def _require_json(value: JsonValue | Hashable, path: str) -> None:
    if isinstance(value, list):
        for place, item in enumerate(value):
            _require_json(item, f"{path}[{place}]")
    elif isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise UserError(f"{path}: the key {key!r} is no text; write it in quotes")
            _require_json(item, f"{path}.{key}")
    elif not (value is None or isinstance(value, str | int | float | bool)):
        raise UserError(f"{path}: {type(value).__name__} is no JSON value")
