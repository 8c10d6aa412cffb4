"""Unit: the systemd units that come with the package, as they shall be on this host.

Their texts are those of `systemd/` at the top of the repository, which is `units/` beside this file, and so in the wheel. They name a
program, a directory and an account; `fitted` puts others in their place, and changes nothing else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from importlib.resources import files

from .errors import ScheduleError

PROGRAM = "/opt/backbeat/bin/backbeat"
DIRECTORY = "/opt/backbeat/app"
USER = "backbeat"
SUFFIXES = (".service", ".target", ".slice")
_ACCOUNT = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,30}")


@dataclass(frozen=True, slots=True)
class Unit:
    """A file for /etc/systemd/system."""

    name: str
    text: str

    def fitted(self, *, program: str = PROGRAM, directory: str = DIRECTORY, user: str | None = None) -> Unit:
        """For this program and working directory; `user` is an account that exists, in the place of one that systemd makes up.

        Raises ScheduleError for a path or a name that a unit cannot hold as it is.
        """
        for path in (program, directory):
            if not path.startswith("/") or re.search(r"[\s\"'\\%$;]", path):
                raise ScheduleError(
                    f'"{path}" cannot stand in a unit',
                    help="an absolute path without blanks, quotes and % $ ;",
                )
        text = self.text.replace(PROGRAM, program).replace(DIRECTORY, directory)
        if user is not None:
            if not _ACCOUNT.fullmatch(user):
                raise ScheduleError(f'"{user}" is no name of an account', help="letters, digits, - and _")
            text = re.sub(rf"(?m)^User={USER}$", f"User={user}", text)
            text = re.sub(r"(?m)^DynamicUser=yes$", "DynamicUser=no", text)
        return replace(self, text=text)


def units() -> tuple[Unit, ...]:
    """All of them, by name."""
    folder = files(__package__) / "units"
    found = [each for each in folder.iterdir() if each.name.endswith(SUFFIXES)]
    return tuple(
        Unit(each.name, each.read_text("utf-8")) for each in sorted(found, key=lambda each: each.name)
    )
