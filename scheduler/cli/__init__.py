"""The command line: `backbeat [options] COMMAND`, one module for each command; main.py puts them together."""

from __future__ import annotations

from .main import main

__all__ = ["main"]
