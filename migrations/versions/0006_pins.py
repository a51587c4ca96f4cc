"""The projection of pins; folded at the controller's next start."""

from __future__ import annotations

from alembic import op

from kro_es.projections.pins import Pins
from kro_es.store.tables import projection_schema, table_name

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    tables = projection_schema([Pins()]).tables
    tables[table_name(Pins.name)].create(op.get_bind(), checkfirst=True)


def downgrade() -> None:
    op.drop_table(table_name(Pins.name))
