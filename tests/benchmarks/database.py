"""The database of a controller that is measured: SQLite, or with ``BENCH_DATABASE=postgresql`` a PostgreSQL of its own."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from kro_es.store.engine import open_engine
from tests.benchmarks.figures import Figure
from tests.support.operator import Operator
from tests.support.postgres import new_database, running

_COUNTERS = {"commits": "xact_commit", "rollbacks": "xact_rollback", "sessions": "sessions"}


@dataclass
class Measured:
    """Where a controller is to have its log, and what its server did meanwhile."""

    url: str
    folder: Path
    figures: list[Figure] = field(default_factory=list)
    """Of the server; complete when the database is done with."""

    @property
    def arguments(self) -> tuple[str, ...]:
        """Of ``kro-es run``: one controller, no lease."""
        return (
            "run", "--database", self.url, "--no-leader-elect", "--redaction-key-file", f"{self.folder}/redaction.key",
        )  # fmt: skip

    def operator(self, kubeconfig: Path) -> Operator:
        """Not started yet."""
        return Operator(kubeconfig, self.folder, database=self.url, arguments=(*self.arguments, "--install-crds"))


@contextmanager
def measured(prefix: str) -> Iterator[Measured]:
    """An empty database; raises SystemExit for one nobody knows."""
    chosen = os.environ.get("BENCH_DATABASE", "sqlite")
    if chosen not in ("sqlite", "postgresql"):
        raise SystemExit(f"bench: BENCH_DATABASE is {chosen!r}: it is sqlite or postgresql")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if chosen == "sqlite":
            yield Measured(f"sqlite:///{folder}/log.db", folder)
            return
        with running(folder / "pg") as server:
            process = psutil.Process(int((folder / "pg" / "postmaster.pid").read_text().split()[0]))
            found = Measured(new_database(server), folder)
            before = _cpu(process)
            yield found
            time.sleep(1.1)  # a session tells what it did once a second
            found.figures.append(Figure(f"{prefix}.postgresql.cpu", _cpu(process) - before, "s"))
            found.figures += _counted(prefix, found.url)


def _cpu(server: psutil.Process) -> float:
    """Seconds of all its processes, those that ended included."""
    own = server.cpu_times()
    spent = own.user + own.system + own.children_user + own.children_system
    for child in server.children(recursive=True):
        try:
            times = child.cpu_times()
        except psutil.NoSuchProcess:
            continue  # its parent counts it from now on
        spent += times.user + times.system
    return float(spent)


def _counted(prefix: str, url: str) -> list[Figure]:
    engine = open_engine(url)
    with engine.connect() as connection:
        listed = ", ".join(_COUNTERS.values())
        row = connection.exec_driver_sql(
            f"SELECT {listed}, (SELECT position FROM log_head), (SELECT count(*) FROM commits)"
            " FROM pg_stat_database WHERE datname = current_database()"
        ).one()
    engine.dispose()
    names = [*_COUNTERS, "events", "appends"]
    return [Figure(f"{prefix}.postgresql.{name}", value, name) for name, value in zip(names, row, strict=True)]
