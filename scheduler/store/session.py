"""Sessions: who is connected to the store, so that a candidate can end the sessions of a leader that is frozen.

The seam alone, which knows no database. Needed on MySQL, which does not end a session that idles inside a transaction:
session_mysql.py.
"""

from __future__ import annotations

from typing import Protocol


class Sessions(Protocol):
    """The sessions of this process, and the end of somebody else's. Raises nothing."""

    def mine(self) -> str:
        """A text that names the sessions this process has now; "" for none."""

    def end(self, sessions: str) -> None:
        """End those that another process named so, if they are there."""


class NoSessions:
    """The server ends idle sessions by itself, or there is no server."""

    def mine(self) -> str:
        return ""

    def end(self, sessions: str) -> None: ...
