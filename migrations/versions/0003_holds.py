"""The projection of holds; folded at the controller's next start."""

from __future__ import annotations

from alembic import op

from kro_es.projections.holds import Holds
from kro_es.store.tables import projection_schema, table_name

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    tables = projection_schema([Holds()]).tables
    tables[table_name(Holds.name)].create(op.get_bind(), checkfirst=True)


def downgrade() -> None:
    op.drop_table(table_name(Holds.name))
