"""``kro-es``: run the controller, look after its database, write definitions."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Annotated, Any, Literal

import typer
from typer.main import get_group

from kro_es.cli import typed
from kro_es.cli.authoring import app as authoring_app
from kro_es.cli.plan import plan
from kro_es.cli.projector import projector
from kro_es.cli.replay import replay
from kro_es.errors import KroEsError
from kro_es.settings import Settings
from kro_es.store.errors import in_words

_PROGRAMS = {"db": "kro_es.cli.database", "cel": "kro_es.cli.cel"}
"""Groups of commands and the module with their ``app``."""


class _Commands(typed.Group):
    """A group is imported when it is asked for: ``validate`` starts without a database."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [*super().list_commands(ctx), *_PROGRAMS]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in _PROGRAMS:
            return super().get_command(ctx, cmd_name)
        found = get_group(import_module(_PROGRAMS[cmd_name]).app)
        found.name = cmd_name
        return found


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(authoring_app)
app.command()(plan)
app.command()(replay)
app.command()(projector)


def _option(name: str, text: str) -> Any:
    """A flag with its variable: ``KRO_ES_`` and the name of the setting."""
    return typer.Option(envvar=f"KRO_ES_{name.upper()}", help=text)


@app.command()
def run(  # noqa: PLR0913 - one parameter per flag
    database: Annotated[str, _option("database", "sqlite:///path or postgresql://...")],
    kubeconfig: Annotated[
        str | None, _option("kubeconfig", "None: $KUBECONFIG, in the cluster, the usual places.")
    ] = None,
    context: Annotated[str | None, _option("context", "Context of the kubeconfig.")] = None,
    leader_elect: Annotated[
        bool | None,
        typer.Option(
            "--leader-elect/--no-leader-elect",
            envvar="KRO_ES_LEADER_ELECT",
            help="One of several controllers acts, by a Lease in $POD_NAMESPACE or kro-system. [default: with PostgreSQL]",
        ),
    ] = None,
    install_crds: Annotated[
        bool, typer.Option("--install-crds", envvar="KRO_ES_INSTALL_CRDS", help="Install the two CRDs of kro first.")
    ] = False,
    redaction_key_file: Annotated[
        str | None, _option("redaction_key_file", "Key of the digests that stand for secrets.")
    ] = None,
    redact: Annotated[
        list[str] | None,
        _option("redact", "More fields never recorded, e.g. ConfigMap:data.*_TOKEN or env:*_PASSWORD; repeatable."),
    ] = None,
    label_version: Annotated[str, _option("label_version", "What kro.run/kro-version says.")] = Settings.label_version,
    health_address: Annotated[
        str, _option("health_address", "host:port of /healthz and /readyz.")
    ] = Settings.health_address,
    metrics_address: Annotated[str, _option("metrics_address", "host:port of /metrics.")] = Settings.metrics_address,
    history_address: Annotated[
        str | None, _option("history_address", "host:port where the API server finds the log, see deploy/history.")
    ] = None,
    workers: Annotated[int, _option("workers", "Instances reconciled at the same time.")] = Settings.workers,
    concurrency: Annotated[int, _option("concurrency", "Requests in flight.")] = Settings.concurrency,
    resync_hours: Annotated[
        float, _option("resync_hours", "Hours between two passes over everything.")
    ] = Settings.resync_hours,
    max_revisions: Annotated[
        int, _option("max_revisions", "GraphRevision objects kept per definition; 0 keeps all.")
    ] = Settings.max_revisions,
    allow_crd_deletion: Annotated[
        bool,
        typer.Option(
            "--allow-crd-deletion",
            envvar="KRO_ES_ALLOW_CRD_DELETION",
            help="A deleted definition takes its CRD with it, and so every instance.",
        ),
    ] = Settings.allow_crd_deletion,
    max_collection: Annotated[
        int, _option("max_collection", "Items one forEach collection may have.")
    ] = Settings.max_collection,
    omit: Annotated[bool, _option("omit", "Whether definitions may use omit().")] = Settings.omit,
    instance_events: Annotated[
        bool, _option("instance_events", "Tell conditions of instances that turn as Kubernetes Events.")
    ] = Settings.instance_events,
    functions: Annotated[
        Literal["full", "kro"], _option("functions", "Functions expressions may call: all, or exactly those of kro.")
    ] = Settings.functions,
    projections: Annotated[
        Literal["all", "needed"],
        _option("projections", "Projections folded here: all, or those passes need, the rest by kro-es projector."),
    ] = Settings.projections,
    audit_source: Annotated[
        str | None, _option("audit_source", "file:PATH or webhook:[HOST:]PORT of audit events: actors are users then.")
    ] = None,
    audit_token_file: Annotated[
        str | None, _option("audit_token_file", "Bearer token the audit webhook of the API server has to show.")
    ] = None,
    audit_certificate_file: Annotated[
        str | None, _option("audit_certificate_file", "Certificate of the webhook, made with its key if there is none.")
    ] = None,
    audit_key_file: Annotated[str | None, _option("audit_key_file", "Key of that certificate.")] = None,
    audit_plain_http: Annotated[
        bool,
        typer.Option(
            "--audit-plain-http",
            envvar="KRO_ES_AUDIT_PLAIN_HTTP",
            help="The webhook speaks plain HTTP to other machines: something before it speaks TLS.",
        ),
    ] = Settings.audit_plain_http,
    log_level: Annotated[str, _option("log_level", "debug, info, warning or error.")] = Settings.log_level,
) -> None:
    """Watch definitions and reconcile their instances, every observation and decision in the log."""
    settings = Settings(
        database=database,
        kubeconfig=kubeconfig or os.environ.get("KUBECONFIG"),
        context=context,
        leader_elect=leader_elect,
        install_crds=install_crds,
        redaction_key_file=redaction_key_file,
        redact=tuple(redact or ()),
        label_version=label_version,
        health_address=health_address,
        metrics_address=metrics_address,
        history_address=history_address,
        workers=workers,
        concurrency=concurrency,
        resync_hours=resync_hours,
        max_revisions=max_revisions,
        allow_crd_deletion=allow_crd_deletion,
        max_collection=max_collection,
        omit=omit,
        instance_events=instance_events,
        functions=functions,
        projections=projections,
        audit_source=audit_source,
        audit_token_file=audit_token_file,
        audit_certificate_file=audit_certificate_file,
        audit_key_file=audit_key_file,
        audit_plain_http=audit_plain_http,
        log_level=log_level,
    )
    _operate(settings)


def _operate(settings: Settings) -> None:
    import gc

    # what is loaded stays: looking for garbage among it, now and in every full collection to come, finds none
    gc.disable()
    import asyncio

    import uvloop

    from kro_es.api.sensitive import parse_all
    from kro_es.cli.garbage import collect_seldom
    from kro_es.controller.run import run as run_controller
    from kro_es.controller.telemetry import configure_logging

    parse_all(settings.redact)  # a rule nobody can read is told before anything begins
    configure_logging(settings.log_level)
    collect_seldom()
    gc.enable()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run_controller(settings))


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=typed.version, help="Print the version and exit.")
    ] = False,
) -> None:
    """kro's definitions, event-sourced."""


def main() -> None:
    """Entry point; an expected error is one line on stderr and exit code 1, a closed pipe is no error.

    So is a command that was typed wrong: 2 is what plan, validate and diff say of what they found.
    """
    try:
        code = app(standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except typer.TyperException as error:
        told = typed.complaint(error, "kro-es")
        if told is None:
            sys.exit(0)
        typer.secho(f"kro-es: {told}", fg="red", err=True)
        sys.exit(1)
    except (typer.Abort, KeyboardInterrupt):
        sys.exit(130)
    except KroEsError as error:
        typer.secho(f"kro-es: {error}", fg="red", err=True)
        sys.exit(1)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        said = in_words(error)
        if said is None:
            raise
        typer.secho(f"kro-es: {said}", fg="red", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
