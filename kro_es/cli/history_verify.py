"""``kro-history verify`` and ``checkpoint``: whether the log is what was written."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from kro_es.cli.history_state import DIFFERENT, Output, State, clock, state
from kro_es.cli.output import Format
from kro_es.cli.progress import progress
from kro_es.errors import UserError

Key = Annotated[Path | None, typer.Option("--checkpoint-key", help="public key (PEM, Ed25519) it was signed with")]


def verify(
    context: typer.Context,
    key: Key = None,
    against: Annotated[list[Path] | None, typer.Option("--checkpoint", help="a file of kro-history checkpoint")] = None,
    output: Output = Format.TABLE,
) -> None:
    """Every digest and the whole chain, recomputed; exit 2 when something is not what was written."""
    from kro_es.store.verify import verify as verified

    if bool(against) != bool(key):
        raise UserError("--checkpoint and --checkpoint-key go together")
    asked = state(context)
    with progress("digests") as told:
        report = verified(asked.history.engine, told)
    faults = [*report.faults, *_against(asked, against or (), key)]
    if output.for_people:
        whole = f"whole: {report.events} events in {report.commits} commits, chain unbroken"
        asked.screen.line(f"not whole: {len(faults)} fault(s)" if faults else whole)
        for fault in faults:
            asked.screen.line(f"  {fault}")
        if report.redacted:
            asked.screen.notes((f"{report.redacted} event(s) are redacted: their place is proved, their content not",))
        if report.pruned:
            asked.screen.notes((f"{report.pruned} event(s) are pruned, as events of the log say",))
    else:
        document = {"whole": not faults, "events": report.events, "commits": report.commits, "faults": faults}
        asked.screen.document({**document, "redacted": report.redacted, "pruned": report.pruned}, output)
    if faults:
        asked.screen.flush()
        raise typer.Exit(DIFFERENT)


def checkpoint(
    context: typer.Context,
    key: Annotated[Path, typer.Option("--key", help="private key (PEM, Ed25519): openssl genpkey -algorithm ed25519")],
    out: Annotated[Path | None, typer.Option("--out", help="a file instead of the standard output")] = None,
) -> None:
    """Verify the log and sign its head; keep the answer where who can change the log cannot reach."""
    from kro_es.store.checkpoint import taken
    from kro_es.store.verify import verify as verified

    asked = state(context)
    with progress("digests") as told:
        faults = verified(asked.history.engine, told).faults
    if faults:
        raise UserError(f"the log is not whole, nothing is signed: {faults[0]}")
    document = taken(asked.history.engine, _bytes(key), clock())
    if out:
        out.write_bytes(document)
    else:
        sys.stdout.buffer.write(document)


def _against(asked: State, files: list[Path] | tuple[Path, ...], key: Path | None) -> list[str]:
    from kro_es.store.checkpoint import checked

    faults: list[str] = []
    for file in files if key else ():
        found, differences = checked(asked.history.engine, _bytes(file), _bytes(key) if key else b"")
        faults += [f"{file}: {text}" for text in differences]
        if not differences:
            asked.screen.notes((f"{file}: the log up to {found.position} is the one that was signed",))
    return faults


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
