"""What tasks of several processes note down, for `main` to read."""

import json
import os
import time
from pathlib import Path

HOME = Path(os.environ["PROJECT_NOTES"])


def note(about, value):
    """Add a line."""
    with (HOME / about).open("a") as file:
        file.write(json.dumps(value) + "\n")


def noted(about, count=1):
    """The lines, once there are so many; sorted, as several processes write."""
    path, until = HOME / about, time.monotonic() + 20
    while not path.exists() or path.read_text().count("\n") < count:
        if time.monotonic() > until:
            raise TimeoutError(f"{about}: {path.read_text() if path.exists() else 'nothing'}")
        time.sleep(0.02)
    return sorted(map(json.loads, path.read_text().splitlines()), key=repr)
