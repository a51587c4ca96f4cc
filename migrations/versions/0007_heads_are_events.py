"""Where a stream ends is what its last events say: no commit writes it a second time."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from kro_es.store.packing import LATE
from kro_es.store.tables import LONG

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None
_NUMBERS = ("head_version", "head_resource_version", "head_position", "snapshot_version")
_OTHERS = {"head_event_id": sa.LargeBinary, "head_uid": sa.Text}
_HEAD = f"encoding & {LATE} = 0"
_OBSERVED = "type_id = (SELECT id FROM types WHERE name = 'object.observed')"
_FOUND = {
    "head_version": ("stream_version", "true"),
    "head_position": ("position", "true"),
    "head_event_id": ("event_id", _HEAD),
    "head_resource_version": ("resource_version", _HEAD),
    "head_uid": ("(SELECT uid FROM subjects j WHERE j.id = e.subject_id)", _HEAD),
    "snapshot_version": ("coalesce(base_version, stream_version)", _OBSERVED),
}
"""Column to what it is of the last event for which something holds."""


def upgrade() -> None:
    there = {column["name"] for column in sa.inspect(op.get_bind()).get_columns("streams")}
    for name in (*_NUMBERS, *_OTHERS):
        if name in there:
            op.drop_column("streams", name)


def downgrade() -> None:
    for name in _NUMBERS:
        op.add_column("streams", sa.Column(name, LONG, nullable=False, server_default=sa.text("0")))
    for name, kind in _OTHERS.items():
        op.add_column("streams", sa.Column(name, kind(), nullable=False, server_default=sa.text("''")))
    for name, (value, condition) in _FOUND.items():
        last = f"FROM events e WHERE e.stream_id = streams.id AND {condition} ORDER BY stream_version DESC LIMIT 1"
        op.execute(f"UPDATE streams SET {name} = coalesce((SELECT {value} {last}), {name})")  # noqa: S608 ours
