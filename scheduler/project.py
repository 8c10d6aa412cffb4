"""Project: the files of a small new project, for `backbeat init`.

Their texts are those of `examples/starter/` at the top of the repository, which is `starter/` beside this file, and so in the wheel; the
units are those of unit.py, the schema is that of files/schema.py. What is there already is left as it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from ..canvas.errors import BackbeatError
from .files.schema import schedules_schema
from .unit import units

STARTER = "starter"
"""What the templates call the project."""
SCHEMA = ".backbeat/schedules.schema.json"
UNITS_NOTE = "systemd/README.md"
_HIDDEN = {"gitignore": ".gitignore", "dockerignore": ".dockerignore"}
"""Templates whose own names would be obeyed where they lie."""
_NAMED = {"tasks.py": f'App("{STARTER}")', "README.md": f"# {STARTER}\n"}
"""Where a template tells the name of the project."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """Paths below the project's directory: those that were written, and those that had been there."""

    written: tuple[str, ...]
    kept: tuple[str, ...]


def project_name(directory: Path) -> str:
    """What a project in this directory is called: as the directory, as far as a name can hold it."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", directory.resolve().name).strip("-.") or "project"


def project_files(name: str) -> Mapping[str, str]:
    """The text of each file of a project of this name, by its path."""
    folder = files(__package__) / STARTER
    texts = {each.name: each.read_text("utf-8") for each in folder.iterdir() if each.is_file()}
    for file, mention in _NAMED.items():
        texts[file] = texts[file].replace(mention, mention.replace(STARTER, name))
    found = {_HIDDEN.get(file, file): text for file, text in texts.items()}
    found[SCHEMA] = json.dumps(schedules_schema(), indent=2, ensure_ascii=False) + "\n"
    found |= {f"systemd/{unit.name}": unit.text for unit in units()}
    found[UNITS_NOTE] = (files(__package__) / "units" / "README.md").read_text("utf-8")
    return dict(sorted(found.items()))


def write_project(directory: Path) -> Written:
    """Make the directory, if need be, and write what is not there yet. Raises BackbeatError for what cannot be written."""
    written, kept = [], []
    for file, text in project_files(project_name(directory)).items():
        path = directory / file
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8") as out:
                out.write(text)
        except FileExistsError:
            if not path.parent.is_dir():
                raise BackbeatError(f"{path.parent} is a file: name a directory") from None
            kept.append(file)
        except OSError as error:
            raise BackbeatError(f"{path} cannot be written: {error.strerror or error}") from error
        else:
            written.append(file)
    return Written(written=tuple(written), kept=tuple(kept))
