"""SecretFile: a setting whose value stands in a file, so that it is in no environment, no process list and no unit.

`NAME_FILE` names the file, as container images do it (a missing one is an error). Without it, systemd's credentials are looked at:
the unit's `LoadCredential=backbeat.broker_url` gives `$CREDENTIALS_DIRECTORY/backbeat.broker_url`, if the administrator has put one there.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from .errors import ImproperlyConfigured


def from_file(name: str, environ: Mapping[str, str]) -> str | None:
    """The value of the setting BACKBEAT_`name`, from its file; None where no file is named or lent.

    Raises ImproperlyConfigured for a file that is named and cannot be read.
    """
    variable = f"BACKBEAT_{name}_FILE"
    if environ.get(variable):
        path = Path(environ[variable])
    elif environ.get("CREDENTIALS_DIRECTORY"):
        path = Path(environ["CREDENTIALS_DIRECTORY"]) / f"backbeat.{name.lower()}"
        if not path.exists():
            return None
    else:
        return None
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise ImproperlyConfigured(f"{variable}: {path} cannot be read: {reason}") from error
    if not text:
        raise ImproperlyConfigured(f"{path} is empty; it should hold the value of BACKBEAT_{name}")
    return text
