"""``kro-es``: run the controller, look after its database."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Annotated, Literal

import typer
import uvloop
from rich.console import Console

from kro_es.cli.database import app as database_app
from kro_es.controller.run import run as run_controller
from kro_es.controller.telemetry import configure_logging
from kro_es.errors import KroEsError
from kro_es.settings import VERSION, Settings, from_environ

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help="kro's definitions, event-sourced."
)
app.add_typer(database_app, name="db")


@app.command()
def run(  # noqa: PLR0913 - one parameter per flag
    database: Annotated[str, typer.Option(envvar="KRO_ES_DATABASE", help="sqlite:///path or postgresql://...")],
    kubeconfig: Annotated[str | None, typer.Option(help="None: in the cluster, else the usual places.")] = None,
    context: Annotated[str | None, typer.Option(help="Context of the kubeconfig.")] = None,
    install_crds: Annotated[bool, typer.Option("--install-crds", help="Install the two CRDs of kro first.")] = False,
    redaction_key_file: Annotated[str | None, typer.Option(help="Key of the digests that stand for secrets.")] = None,
    health_address: Annotated[str | None, typer.Option(help="host:port of /healthz and /readyz.")] = None,
    metrics_address: Annotated[str | None, typer.Option(help="host:port of /metrics.")] = None,
    workers: Annotated[int, typer.Option(help="Instances reconciled at the same time.")] = Settings.workers,
    max_collection: Annotated[
        int, typer.Option(min=1, help="Items one forEach collection may have.")
    ] = Settings.max_collection,
    omit: Annotated[bool, typer.Option(help="Whether definitions may use omit().")] = Settings.omit,
    functions: Annotated[
        Literal["full", "kro"], typer.Option(help="Functions expressions may call: all, or exactly those of kro.")
    ] = Settings.functions,
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = Settings.log_level,
) -> None:
    """Watch definitions and reconcile their instances, every observation and decision in the log."""
    found = from_environ(os.environ)
    settings = Settings(
        database=database,
        kubeconfig=kubeconfig or found.get("kubeconfig") or os.environ.get("KUBECONFIG"),
        context=context,
        install_crds=install_crds,
        redaction_key_file=redaction_key_file or found.get("redaction_key_file"),
        health_address=health_address or found.get("health_address", Settings.health_address),
        metrics_address=metrics_address or found.get("metrics_address", Settings.metrics_address),
        workers=workers,
        max_collection=max_collection,
        omit=omit,
        functions=functions,
        log_level=log_level,
    )
    configure_logging(log_level)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run_controller(settings))


@app.command()
def version() -> None:
    """Print the version."""
    Console().print(VERSION)


def main() -> None:
    """Entry point; an expected error is one line on stderr and exit code 1."""
    try:
        app()
    except KroEsError as error:
        Console(stderr=True).print(f"kro-es: {error}", style="red", highlight=False, markup=False)
        sys.exit(1)


if __name__ == "__main__":
    main()
