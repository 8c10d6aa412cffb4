"""What the log of a worker says of what ended."""

from __future__ import annotations

import logging

import pytest
from backbeat.canvas.commit.transition import Transition
from backbeat.canvas.message import Message
from backbeat.canvas.outcome import Error, Failure, Retry
from backbeat.canvas.worker.listener import LogListener

ERROR = Error(type="KeyError", text="'x'")
TRACEBACK = "Traceback (most recent call last): ..."


def logged(caplog, outcome):
    with caplog.at_level(logging.DEBUG, "backbeat.worker"):
        LogListener().applied(Transition(message=Message(id="t1", task="t"), outcome=outcome), 1.0)
    (record,) = caplog.records
    return record.levelno, record.getMessage(), record.action


#    outcome                                                      level          text                                action
LINES = {
    "failure": (
        Failure(error=ERROR, traceback=TRACEBACK),
        logging.ERROR,
        f"Task t[t1] raised KeyError: 'x'\n{TRACEBACK}",
        "task_failed",
    ),
    "expected (throws)": (
        Failure(error=ERROR, traceback=TRACEBACK, expected=True),
        logging.INFO,
        "Task t[t1] raised KeyError, as it may: 'x'",
        "task_failed",
    ),
    "retry": (
        Retry(eta_us=5, error=ERROR, traceback=TRACEBACK),
        logging.INFO,
        "Task t[t1] will be retried: KeyError(\"'x'\")",
        "task_retried",
    ),
}


@pytest.mark.parametrize(("outcome", "level", "text", "action"), LINES.values(), ids=LINES)
def test_one_line_for_what_ended(caplog, outcome, level, text, action):
    assert logged(caplog, outcome) == (level, text, action)
