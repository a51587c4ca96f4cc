"""``kro-es plan``: what a definition or an instance in a file would change, before it is applied."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kro_es.cli.authoring import Changes, Context, Crds, FromCluster, Kubeconfig, Kubernetes
from kro_es.errors import DefinitionErrors, UserError
from kro_es.settings import VERSION

if TYPE_CHECKING:
    from kro_es.history.preview import Preview
    from kro_es.history.source import History

_PASSIVE = {"created": "created", "changed": "updated", "deleted": "deleted"}
BREAKS, CHANGES = 1, 2


def plan(  # noqa: PLR0913 - one parameter per flag
    file: Annotated[str, typer.Option("-f", "--file", help="a file with one definition or one instance, or -")],
    database: Annotated[str, typer.Option(envvar="KRO_ES_DATABASE", help="the log of the controller")],
    output: Annotated[Changes, typer.Option("-o", "--output", help="text or json")] = Changes.TEXT,
    since: Annotated[
        str | None, typer.Option(help="back-test: over every state since this position, time or age, e.g. 30d")
    ] = None,
    namespace: Annotated[
        str | None, typer.Option("-n", "--namespace", help="of an instance whose file names none  [default: default]")
    ] = None,
    limit: Annotated[int, typer.Option(min=0, help="instances told field by field")] = 20,
    crds: Crds = None,
    kubernetes_version: Kubernetes = None,
    from_cluster: FromCluster = False,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """What it would do to every live instance; exit 0 nothing, 2 something, 1 it breaks, or newly waits or fails.

    For example: kro-es plan -f webshop.yaml --since 30d -o json
    """
    from kro_es.authoring.render import completed
    from kro_es.cli.progress import progress
    from kro_es.history import backtest, preview
    from kro_es.history.source import open_history

    history = open_history(database, time.time_ns() // 1000)
    try:
        manifest = _manifest(file)
        if namespace is not None:
            manifest["metadata"].setdefault("namespace", namespace)
        start = None if since is None else _start(history, manifest, since)
        kinds = _kinds(history, manifest, start, (crds, kubernetes_version, from_cluster, kubeconfig, context))
        looked = 0
        try:
            if start is None:
                found = preview.of(history, manifest, kinds, completed)
            else:
                with progress("instances") as told:
                    found, looked = backtest.backtest(history, manifest, kinds, completed, start, told)
        except DefinitionErrors as error:
            raise UserError(f"{file} is not valid: {error}; kro-es validate tells where") from error
    finally:
        history.close()
    if output is Changes.JSON:
        import orjson

        typer.echo(orjson.dumps(found.as_json(), option=orjson.OPT_INDENT_2, default=str).decode())
    else:
        if start is not None:
            typer.echo(f"back-test over {looked} state(s) instances settled in since then")
        _print(found, limit)
    if found.breaking or found.problems:
        raise typer.Exit(BREAKS)
    if found.changes:
        raise typer.Exit(CHANGES)


def _manifest(file: str) -> dict[str, Any]:
    from kro_es.authoring.objects import only_object

    found = only_object(file)
    for path in (("apiVersion",), ("kind",), ("metadata", "name")):
        value: Any = found
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
        if not isinstance(value, str) or not value:
            raise UserError(f"{file}: {'.'.join(path)} is missing: a definition or an instance has one")
    return found


def _start(history: History, manifest: dict[str, Any], since: str) -> int:
    """Position to begin at; a time before the log began means its beginning."""
    from kro_es.history import moments

    if manifest["kind"] != "ResourceGraphDefinition":
        raise UserError("a back-test is of a definition: --since does not go with an instance")
    if since.isdigit():
        return moments.position_of(history, since)
    return history.log.position_at(moments.time_of(history, since))


def _kinds(history: History, manifest: dict[str, Any], start: int | None, asked: tuple[Any, ...]) -> dict[Any, Any]:
    from kro_es.authoring.crds import crd_kinds
    from kro_es.authoring.kinds import shipped
    from kro_es.history import backtest, preview

    crds, version, from_cluster, kubeconfig, context = asked
    if from_cluster and version:
        raise UserError("--from-cluster and --kubernetes-version exclude each other")
    added = crd_kinds(crds or [])
    if not from_cluster:
        return {**shipped(version).kinds, **added}
    from kro_es.authoring.from_cluster import cluster_kinds

    wanted = preview.needs(history, manifest) if start is None else backtest.needs(history, manifest)
    return {**cluster_kinds(wanted, kubeconfig, context, version=VERSION), **added}


def _print(found: Preview, limit: int) -> None:
    changed = [one for one in found.forecasts if one.differences]
    if not found.revision:
        typer.echo(f"{found.about}: new to this log, no instance follows it yet")
        return
    compared = f"compared with revision {found.revision}"
    typer.echo(f"{found.about}, {compared}: {found.changes} of {found.count} instance(s) change")
    for one in changed[:limit]:
        typer.secho(one.instance, bold=True)
        for difference in one.differences:
            typer.echo(f"  {difference.object} is {_PASSIVE[difference.change]}")
            for field in difference.fields:
                typer.echo(f"    {field['path']}: {_text(field['old'])} → {_text(field['new'])}")
    if found.changes > limit:
        kept = f"the first {len(changed)}" if found.rest.changed else "all"
        typer.echo(f"… and {found.changes - limit} more; --limit shows them, -o json has {kept}")
    for kind, counts in found.by_kind().items():
        typer.echo(f"{kind}: " + ", ".join(f"{count} {_PASSIVE[change]}" for change, count in sorted(counts.items())))
    for text in found.breaking:
        typer.secho(f"breaking: {text}", fg="red")
    for text in found.problems[:limit]:
        typer.secho(f"waits or fails: {text}", fg="red")
    if len(found.problems) > limit:
        typer.secho(f"waits or fails: {found.problem_count - limit} more; --limit shows them", fg="red")


def _text(value: object) -> str:
    import orjson

    if value is None:
        return "nothing"
    return value if isinstance(value, str) else orjson.dumps(value, default=str).decode()
