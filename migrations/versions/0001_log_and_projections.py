"""The log, its names, and every projection's table."""

from __future__ import annotations

from alembic import op

from kro_es.projections.registry import PROJECTIONS
from kro_es.store.digest import NO_CHAIN
from kro_es.store.packing import shipped_dictionary
from kro_es.store.tables import schema

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None
_LATER = ("pruned", "seals", "delegated")
"""Tables that later revisions add."""


def upgrade() -> None:
    metadata = schema(PROJECTIONS)
    tables = metadata.tables
    metadata.create_all(op.get_bind(), tables=[table for name, table in tables.items() if name not in _LATER])
    op.bulk_insert(tables["log_head"], [{"id": 1, "position": 0, "chain": NO_CHAIN, "fence": 0, "cluster": ""}])
    op.bulk_insert(tables["heartbeat"], [{"id": 1, "at": 0}])
    op.bulk_insert(tables["dictionaries"], [{"id": 1, "body": shipped_dictionary()}])


def downgrade() -> None:
    metadata = schema(PROJECTIONS)
    metadata.drop_all(op.get_bind(), tables=[table for name, table in metadata.tables.items() if name not in _LATER])
