"""schedules.yaml: loader with positions, vocabulary, messages, and the watch for changes.

`load(path, environ)`, `load_all(paths, environ)` and `parse(text, file_name, environ)` give `Loaded`: entries and problems. Nothing here talks to a store:
reconciling entries with what runs is the caller's work, and only when `Loaded.is_applicable`.
"""

from __future__ import annotations

from .definition import Definition
from .loader import Loaded, load, load_all, parse
from .problem import Problem, Severity
from .watch import FileStamp, is_changed, is_touched, stamp

__all__ = [
    "Definition",
    "FileStamp",
    "Loaded",
    "Problem",
    "Severity",
    "is_changed",
    "is_touched",
    "load",
    "load_all",
    "parse",
    "stamp",
]
