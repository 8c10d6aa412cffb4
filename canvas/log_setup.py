"""Log setup: how a program of ours writes its log, unless the project says so itself (the signals setup_logging and after_setup_logger)."""

from __future__ import annotations

import logging

from . import signals

TASK_LOGGER = "backbeat.task"
"""The parent of tasks' loggers, see utils/log.py."""


def set_up_logging(level: str, line: str) -> None:
    """Lines of this format on standard error; the root logger of an application that has set it up is left alone."""
    given = {
        "loglevel": logging.getLevelName(level.upper()),
        "logfile": None,
        "format": line,
        "colorize": False,
    }
    if signals.setup_logging.receivers and signals.setup_logging.send(None, **given):
        return
    logging.basicConfig(level=level.upper(), format=line)
    logging.getLogger("backbeat").setLevel(level.upper())
    for signal, name in ((signals.after_setup_logger, None), (signals.after_setup_task_logger, TASK_LOGGER)):
        if signal.receivers:
            signal.send(None, logger=logging.getLogger(name), **given)
