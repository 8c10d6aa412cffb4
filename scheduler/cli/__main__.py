"""`python -m backbeat.scheduler.cli`: the same as `backbeat`."""

from __future__ import annotations

from .main import main

main()
