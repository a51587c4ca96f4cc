"""The rows a recorded log gives, as one digest a projection."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from kro_es.projections.registry import PROJECTIONS
from kro_es.store.engine import open_engine
from kro_es.store.migrate import migrate
from kro_es.store.rows import RowForm
from kro_es.store.sql import run
from kro_es.store.transfer import import_log
from kro_es.store.verify import verify

HERE = Path(__file__).parent
NOTED = HERE / "rows.json"


def noted() -> dict[str, dict[str, str]]:
    """File to ``projection@version`` to digest."""
    found: dict[str, dict[str, str]] = json.loads(NOTED.read_text()) if NOTED.exists() else {}
    return found


def digests(path: Path) -> dict[str, str]:
    """Rows of every projection of this program, folded from a file; the log in it is verified, nothing is parked."""
    engine = open_engine("sqlite://")
    try:
        migrate(engine)
        import_log(engine, path, PROJECTIONS, now=0)
        assert verify(engine).faults == []
        found = {}
        with engine.connect() as connection, connection.begin():
            assert run(connection, "SELECT * FROM parked").all() == []
            for projection in PROJECTIONS:
                rows = run(connection, f"{RowForm(projection).select} ORDER BY key").all()
                text = "\n".join(repr(tuple(row)) for row in rows)
                found[f"{projection.name}@{projection.version}"] = hashlib.sha256(text.encode()).hexdigest()
        return found
    finally:
        engine.dispose()
