"""Column types that the tables of the store share."""

from __future__ import annotations

from sqlalchemy import Text as PlainText
from sqlalchemy.dialects.mysql import MEDIUMTEXT

Text = PlainText().with_variant(MEDIUMTEXT(), "mysql")
"""Text of any length: the TEXT of MySQL ends at 64 kB."""
