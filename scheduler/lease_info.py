"""LeaseInfo: what a leader says of itself in the lease row, as one line of JSON. PURE.

Who leads is decided by the other columns; this only helps those who watch: what to look at for a sign of its end, and which
sessions hold its locks. An older or newer backbeat may know other keys; what is missing has its default.
"""

from __future__ import annotations

import json
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseInfo:
    """`mark` is drawn by the elector that wrote it; `hint` says whether it holds the lock of hint.py.

    `session` names its sessions in the store (session.py), `version` is that of its backbeat.
    """

    mark: str = ""
    hint: bool = False
    session: str = ""
    version: str = ""

    def __str__(self) -> str:
        values: dict[str, object] = {"mark": self.mark, "hint": self.hint}
        values |= {"session": self.session, "version": self.version}
        return json.dumps({name: value for name, value in values.items() if value}, separators=(",", ":"))

    @classmethod
    def parse(cls, text: str) -> LeaseInfo:
        """The info of a row; one without anything for a text that is not ours."""
        try:
            found = json.loads(text) if text else {}
        except ValueError:
            found = {}
        if not isinstance(found, dict):
            found = {}
        return cls(
            mark=str(found.get("mark", "")),
            hint=found.get("hint") is True,
            session=str(found.get("session", "")),
            version=str(found.get("version", "")),
        )
