"""What stays of a pruned event, and the seal of a log that must not be acted upon."""

from __future__ import annotations

from alembic import op

from kro_es.store.tables import schema

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None
_TABLES = ("pruned", "seals")


def upgrade() -> None:
    metadata = schema(())
    metadata.create_all(op.get_bind(), tables=[metadata.tables[name] for name in _TABLES])


def downgrade() -> None:
    if op.get_bind().exec_driver_sql("SELECT count(*) FROM pruned").scalar_one():
        raise RuntimeError("this log was pruned: the schema before cannot prove its chain, it stays at this revision")
    metadata = schema(())
    metadata.drop_all(op.get_bind(), tables=[metadata.tables[name] for name in _TABLES])
