"""The controller inside the process, on a fake cluster."""

from __future__ import annotations

from tests.contract.conftest import database_template, inside

__all__ = ["database_template", "inside"]
