"""Surviving: whatever is wrong with one message, or join, must not end the worker and all that it runs."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import Unavailable

logger = logging.getLogger("backbeat.worker")


@contextmanager
def surviving() -> Iterator[None]:
    """What is raised inside is written down, and the message comes back after its lease. Unavailable is let pass."""
    try:
        yield
    except Unavailable:
        raise
    except Exception:
        logger.exception("a message or join cannot be dealt with", extra={"action": "step_failed"})
