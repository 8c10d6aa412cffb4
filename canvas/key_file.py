"""KeyFile: the file of `security_keys`: TOML, a table for each key in the order of their use (the first signs); read by the wiring.

[web-2027]
secret = "0d5b..."
tasks = ["shop.*"]

[web-2026]
secret = "a1f0..."
"""

from __future__ import annotations

import os
import stat
import tomllib
from pathlib import Path
from typing import Any

from .errors import ImproperlyConfigured


def read_keys(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What the file says. Raises ImproperlyConfigured, with nothing of its contents, if it cannot be read, or by everybody."""
    try:
        with Path(path).open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if mode & (stat.S_IROTH | stat.S_IWOTH):
                raise ImproperlyConfigured(
                    f"security_keys: everybody on this machine may read or change {os.fspath(path)}: chmod 600 it"
                )
            return tomllib.load(file)
    except OSError as error:
        raise ImproperlyConfigured(f"security_keys: {os.fspath(path)}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        # not the cause: it holds the text
        raise ImproperlyConfigured(
            f'security_keys: {os.fspath(path)} is not TOML. Write a table for each key: [name], and secret = "..."'
        ) from None
