"""The decisions in a log that a test leaves, made again: what comes out otherwise, and what cannot be compared and should."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy.exc import OperationalError

from kro_es.authoring.kinds import shipped
from kro_es.history import definitions_again, doubts
from kro_es.history.replay import replay
from kro_es.store.engine import open_engine
from kro_es.store.log_reader import LogReader

_FAIR = {doubts.GONE, doubts.OTHER_KEY, doubts.REDACTED, definitions_again.OURS}
"""Why a decision may not be comparable: values that are not in the log."""


def differences(database: str, key: Path) -> list[str]:
    """None of a log whose every decision comes out as it is recorded, byte for byte."""
    engine = open_engine(database)
    try:
        report = replay(LogReader(engine), shipped(None).kinds, key.read_text().strip().encode())
    except OperationalError:
        # the test ended before the controller had made its tables
        return []
    finally:
        engine.dispose()
    different = [
        f"{found.position} {found.instance} {found.type}: {dict(found.fields)}" for found in report.differences
    ]
    unfair = [f"{position} {name}: {why}" for position, name, why in report.unknown if why not in _FAIR]
    return [*different, *unfair]
