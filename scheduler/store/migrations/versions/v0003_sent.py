"""Version 3: when a firing was sent that is marked before its batch is: the others of the batch may wait long.

One column is added that nobody has to fill in: beats of version 2 that still run are not disturbed.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic.operations import Operations

revision = "0003"
down_revision = "0002"


def upgrade(op: Operations) -> None:
    """Add what version 3 has; a crash may have left it there."""
    if "sent_us" not in {each["name"] for each in sa.inspect(op.get_bind()).get_columns("bb_firing")}:
        op.add_column("bb_firing", sa.Column("sent_us", sa.BigInteger))
