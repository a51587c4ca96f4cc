"""The projection of lost watches; folded at the controller's next start."""

from __future__ import annotations

from alembic import op

from kro_es.projections.bookkeeping import LostWatches
from kro_es.store.tables import projection_schema, table_name

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    tables = projection_schema([LostWatches()]).tables
    tables[table_name(LostWatches.name)].create(op.get_bind(), checkfirst=True)


def downgrade() -> None:
    op.drop_table(table_name(LostWatches.name))
