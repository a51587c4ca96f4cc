"""``kro-es validate`` and its neighbours: definitions as files, checked and shown without a cluster."""

from __future__ import annotations

import enum
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kro_es.errors import UserError
from kro_es.settings import VERSION

if TYPE_CHECKING:
    from kro_es.api.objects import Gvk, JsonValue
    from kro_es.authoring.project import Entry, Project
    from kro_es.authoring.sources import Source, Unreadable
    from kro_es.schema.openapi import KindSchema

app = typer.Typer(rich_markup_mode=None)

UNREADABLE = 2
"""Exit code when something could not be read."""

Files = Annotated[list[str], typer.Argument(help="Files, folders, or - for standard input.", show_default=False)]
File = Annotated[str, typer.Argument(help="File or folder with one definition, or -.", show_default=False)]
Crds = Annotated[list[str] | None, typer.Option("--crds", help="File or folder with CRDs; may be repeated.")]
Kubernetes = Annotated[
    str | None, typer.Option("--kubernetes-version", help="Which of the shipped schemas of built-in kinds.")
]
FromCluster = Annotated[bool, typer.Option("--from-cluster", help="Schemas of the cluster, not the shipped ones.")]
Kubeconfig = Annotated[str | None, typer.Option(envvar="KUBECONFIG", help="Of --from-cluster.")]
Context = Annotated[str | None, typer.Option("--context", help="Of the kubeconfig.")]


class Data(enum.StrEnum):
    YAML = "yaml"
    JSON = "json"


class Changes(enum.StrEnum):
    TEXT = "text"
    JSON = "json"


class Picture(enum.StrEnum):
    TEXT = "text"
    DOT = "dot"
    MERMAID = "mermaid"
    SVG = "svg"


class Findings(enum.StrEnum):
    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"
    GITHUB = "github"


@app.command()
def validate(  # noqa: PLR0913 - one parameter per flag
    files: Files,
    output: Annotated[Findings, typer.Option("-o", "--output", help="How findings are written.")] = Findings.TEXT,
    crds: Crds = None,
    kubernetes_version: Kubernetes = None,
    from_cluster: FromCluster = False,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Everything that is wrong with definitions, with line and column; exit 0 valid, 1 errors, 2 not readable."""
    from kro_es.authoring import reports
    from kro_es.authoring import validate as checks
    from kro_es.authoring.yaml_reader import lines_of

    with _exit(UNREADABLE):
        sources, project = _load(files)
        asked = _Asked(crds, kubernetes_version, from_cluster, kubeconfig, context)
        report = checks.validate(project, asked.kinds(project))
    match output:
        case Findings.JSON:
            typer.echo(reports.as_json(report))
        case Findings.SARIF:
            typer.echo(reports.as_sarif(report, VERSION))
        case Findings.GITHUB:
            typer.echo(reports.as_github(report))
        case Findings.TEXT:
            lines = {source.name: lines_of(source.text) for source in sources}
            typer.echo(reports.as_text(report, lines))
    raise typer.Exit(report.exit_code)


@app.command()
def crd(
    file: File,
    output: Annotated[Data, typer.Option("-o", "--output", help="yaml or json")] = Data.YAML,
    crds: Crds = None,
    kubernetes_version: Kubernetes = None,
) -> None:
    """The CustomResourceDefinition a definition makes, without the labels that only a cluster can give it."""
    entry = _compiled(file, _Asked(crds, kubernetes_version))
    assert entry.graph is not None
    found = entry.graph.crd
    labels = {name: value for name, value in found["metadata"]["labels"].items() if value}
    _show({**found, "metadata": {**found["metadata"], "labels": labels}}, output)


@app.command()
def instance(file: File, crds: Crds = None, kubernetes_version: Kubernetes = None) -> None:
    """A sample instance: every field with its type, default and limits in a comment."""
    from kro_es.authoring.sample import sample

    entry = _compiled(file, _Asked(crds, kubernetes_version))
    assert entry.graph is not None
    typer.echo(sample(entry.graph), nl=False)


@app.command()
def graph(
    file: File,
    output: Annotated[Picture, typer.Option("-o", "--output", help="How it is drawn.")] = Picture.TEXT,
    crds: Crds = None,
    kubernetes_version: Kubernetes = None,
) -> None:
    """Which resource needs which, in the order they are applied."""
    from kro_es.authoring import drawing

    entry = _compiled(file, _Asked(crds, kubernetes_version))
    assert entry.graph is not None
    draw = {
        Picture.TEXT: drawing.as_text,
        Picture.DOT: drawing.as_dot,
        Picture.MERMAID: drawing.as_mermaid,
        Picture.SVG: drawing.as_svg,
    }
    typer.echo(draw[output](entry.graph))


@app.command()
def diff(
    old: Annotated[str, typer.Argument(help="File with the definition as it is.", show_default=False)],
    new: Annotated[str, typer.Argument(help="File with the definition as it will be.", show_default=False)],
    output: Annotated[Changes, typer.Option("-o", "--output", help="text or json")] = Changes.TEXT,
    crds: Crds = None,
    kubernetes_version: Kubernetes = None,
) -> None:
    """What changes for users and resources; exit 0 nothing breaks, 1 instances may break, 2 cannot be compared."""
    from kro_es.authoring.compare import as_text, difference

    with _exit(UNREADABLE):
        _one_standard_input(old, new)
    asked = _Asked(crds, kubernetes_version)
    before, after = (_compiled(file, asked, UNREADABLE) for file in (old, new))
    assert before.graph is not None
    assert after.graph is not None
    with _exit(UNREADABLE):
        found = difference((before.definition, before.graph), (after.definition, after.graph))
    if output is Changes.JSON:
        _show({"breaking": found.breaking, **asdict(found)}, Data.JSON)
    else:
        typer.echo(as_text(found))
    raise typer.Exit(1 if found.breaking else 0)


@app.command()
def fmt(
    files: Files,
    check: Annotated[bool, typer.Option("--check", help="Write nothing; exit 1 when something would change.")] = False,
) -> None:
    """Lay YAML out anew, comments kept; standard input goes to standard output."""
    from kro_es.authoring.formatting import formatted
    from kro_es.authoring.sources import STDIN, Unreadable, gather
    from kro_es.authoring.yaml_reader import YamlError

    changed = unreadable = False
    for source in gather(files):
        try:
            if isinstance(source, Unreadable):
                raise source
            text = formatted(source.text)
        except UserError as error:
            place = f"{error.place.line}:{error.place.column}: " if isinstance(error, YamlError) else ""
            typer.secho(
                f"{'' if isinstance(source, Unreadable) else f'{source.name}: '}{place}{error}", fg="red", err=True
            )
            unreadable = True
            continue
        if source.name == STDIN and not check:
            typer.echo(text, nl=False)
        elif text != source.text:
            changed = True
            typer.echo(f"{source.name}: {'would change' if check else 'laid out anew'}")
            if not check:
                Path(source.name).write_text(text, encoding="utf-8")
    raise typer.Exit(UNREADABLE if unreadable else 1 if check and changed else 0)


@app.command()
def render(
    file: File,
    instance: Annotated[str, typer.Option("--instance", help="File with the instance.")],
    observed: Annotated[list[str] | None, typer.Option("--observed", help="Files with live objects.")] = None,
    output: Annotated[Data, typer.Option("-o", "--output", help="yaml or json")] = Data.YAML,
    crds: Crds = None,
    kubernetes_version: Kubernetes = None,
) -> None:
    """What would be applied for an instance, step by step, and what waits for what; exit 1 when an expression fails."""
    from kro_es.authoring.objects import objects, only_object
    from kro_es.authoring.render import as_yaml, completed, rendering

    with _exit(UNREADABLE):
        _one_standard_input(file, instance, *observed or ())
    entry = _compiled(file, _Asked(crds, kubernetes_version))
    assert entry.graph is not None
    with _exit(UNREADABLE):
        given, live = only_object(instance), objects(observed or [])
    found = rendering(entry.graph, completed(entry.graph, given), live)
    if output is Data.JSON:
        _show(asdict(found), Data.JSON)
    else:
        typer.echo(as_yaml(found), nl=False)
    raise typer.Exit(1 if found.failed else 0)


# -- what the commands share


def _one_standard_input(*files: str) -> None:
    """Raises Unreadable: it can be read once."""
    from kro_es.authoring.sources import STDIN, Unreadable

    if files.count(STDIN) > 1:
        raise Unreadable(STDIN, "standard input can be one of these files, and no more")


@contextmanager
def _exit(code: int) -> Iterator[None]:
    """A mistake of the user is one line on stderr and this exit code."""
    try:
        yield
    except UserError as error:
        typer.secho(f"kro-es: {error}", fg="red", err=True)
        sys.exit(code)


def _load(files: list[str]) -> tuple[list[Source], Project]:
    from kro_es.authoring.project import load
    from kro_es.authoring.sources import Source, gather

    # the program ends when it has answered; looking for cycles until then takes a third of its time
    gc.disable()
    found: list[Source | Unreadable] = list(gather(files))
    return [item for item in found if isinstance(item, Source)], load(found)


@dataclass(frozen=True, slots=True)
class _Asked:
    """Where the schemas of kinds come from, as the flags say."""

    crds: list[str] | None = None
    version: str | None = None
    from_cluster: bool = False
    kubeconfig: str | None = None
    context: str | None = None

    def kinds(self, project: Project) -> dict[Gvk, KindSchema]:
        """Raises UserError and, asking a cluster, ApiError."""
        from kro_es.authoring.crds import crd_kinds
        from kro_es.authoring.kinds import shipped

        if self.from_cluster and self.version:
            raise UserError("--from-cluster and --kubernetes-version exclude each other")
        added = crd_kinds(self.crds or [])
        if not self.from_cluster:
            return {**shipped(self.version).kinds, **added}
        from kro_es.authoring.from_cluster import cluster_kinds

        wanted = project.required_kinds()
        return {**cluster_kinds(wanted, self.kubeconfig, self.context, version=VERSION), **added}


def _compiled(file: str, asked: _Asked, exit_code: int = 1) -> Entry:
    """The one definition of a file; everything that is wrong goes to stderr, and ends the program."""
    from kro_es.authoring import reports
    from kro_es.authoring.validate import validate as checked
    from kro_es.authoring.yaml_reader import lines_of

    with _exit(UNREADABLE):
        sources, project = _load([file])
        report = checked(project, asked.kinds(project))
    if report.exit_code:
        typer.echo(reports.as_text(report, {source.name: lines_of(source.text) for source in sources}), err=True)
        raise typer.Exit(max(report.exit_code, exit_code))
    if len(project.entries) > 1:
        names = ", ".join(entry.definition.name for entry in project.entries)
        typer.secho(
            f"kro-es: {file} has {len(project.entries)} definitions, one is needed: {names}", fg="red", err=True
        )
        raise typer.Exit(UNREADABLE)
    return project.entries[0]


def _show(value: JsonValue, form: Data) -> None:
    if form is Data.JSON:
        import orjson

        typer.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())
        return
    from kro_es.authoring.yaml_writer import write

    typer.echo(write(value), nl=False)
