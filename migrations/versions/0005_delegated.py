"""Which projections are folded by processes of their own, and not by the writer of the log."""

from __future__ import annotations

from alembic import op

from kro_es.store.tables import schema

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None
_TABLE = "delegated"


def upgrade() -> None:
    schema(()).tables[_TABLE].create(op.get_bind())


def downgrade() -> None:
    op.drop_table(_TABLE)
