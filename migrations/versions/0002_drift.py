"""The projection of drift; the controller folds it from the log at its next start."""

from __future__ import annotations

from alembic import op

from kro_es.projections.drift import Drifts
from kro_es.store.tables import projection_schema, table_name

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    tables = projection_schema([Drifts()]).tables
    tables[table_name(Drifts.name)].create(op.get_bind(), checkfirst=True)


def downgrade() -> None:
    op.drop_table(table_name(Drifts.name))
