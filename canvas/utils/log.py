"""Loggers for tasks, under the name that Celery projects import them by."""

from __future__ import annotations

import logging

from ..log_setup import TASK_LOGGER

_RESERVED = {"backbeat", TASK_LOGGER}


def get_task_logger(name: str) -> logging.Logger:
    """The logger of that name, below `backbeat.task`: what is set there (after_setup_task_logger) holds for the logs of all tasks.

    A logger that the project has put below another one stays there. Raises ValueError for names of our own.
    """
    if name in _RESERVED:
        raise ValueError(f"the logger {name!r} is backbeat's own: write get_task_logger(__name__)")
    logger = get_logger(name)
    if logger.parent is logging.root:
        logger.parent = logging.getLogger(TASK_LOGGER)
    return logger


def get_logger(name: str) -> logging.Logger:
    """The logger of that name."""
    return logging.getLogger(name)
