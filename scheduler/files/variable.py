"""Variables in string values: ${NAME}, ${NAME:-default}, and $$ for a dollar sign.

PURE: the environment comes in as a mapping. What is put in is text and is never parsed again, so a variable can not add
keys, and a number stays a number only when it is written as one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_REFERENCE = re.compile(r"\$(?:\$|\{(?:([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\})?)")


class VariableError(ValueError):
    """A variable that is not set, or a `${` that is no reference; `help` says what to write."""

    def __init__(self, message: str, help: str) -> None:
        super().__init__(message)
        self.help = help


def substitute(text: str, environ: Mapping[str, str]) -> str:
    """`text` with its variables put in; a default serves for an unset and for an empty variable, as in a shell.

    Raises VariableError for an unset variable without default and for a `${` that is not a reference.
    """
    if "$" not in text:
        return text
    return _REFERENCE.sub(lambda match: _value(match, environ), text)


def _value(match: re.Match[str], environ: Mapping[str, str]) -> str:
    if match.group() == "$$":
        return "$"
    name, default = match.group(1), match.group(2)
    if name is None:
        raise VariableError(
            "`${` does not start a variable",
            "write ${NAME} or ${NAME:-default}; $${ for the characters themselves",
        )
    if default is not None:
        return environ.get(name) or default
    if name not in environ:
        raise VariableError(f"variable {name[:60]} is not set", f"set it, or write ${{{name[:60]}:-default}}")
    return environ[name]
