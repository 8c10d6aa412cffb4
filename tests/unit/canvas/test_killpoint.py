"""Kill points: what arms a process, and that nothing else does. That they kill is tests/acceptance/canvas/test_kill_points.py's."""

from __future__ import annotations

import logging

import pytest
from backbeat.canvas import killpoint
from backbeat.canvas.errors import ImproperlyConfigured


@pytest.mark.parametrize("environ", [{}, {killpoint.VARIABLE: ""}])
def test_without_the_variable_nothing_is_armed_and_nothing_is_said(caplog, environ):
    assert killpoint.armed_by(environ) is None
    killpoint.arm(environ)
    killpoint.reach("split.sent")
    assert killpoint._armed is None
    assert caplog.records == []


def test_to_be_armed_is_said_loudly(caplog):
    assert killpoint.armed_by({killpoint.VARIABLE: "split.sent#2@/tmp/never-written"}) is not None

    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.action == "kill_point_armed"
    assert "kills itself at split.sent#2" in record.getMessage()


@pytest.mark.parametrize(
    ("text", "doomed", "path"),
    [
        ("/var/log", [], "/var/log"),
        ("/var/a@b", [], "/var/a@b"),
        ("split.sent#1@/var/log", ["split.sent#1"], "/var/log"),
        ("split.sent#1,worker.acked_early#12@/log", ["split.sent#1", "worker.acked_early#12"], "/log"),
    ],
)
def test_points_and_log_are_read(text, doomed, path):
    assert killpoint.parsed(text) == (doomed, path)


@pytest.mark.parametrize(
    "text",
    ["1", "log", "split.sent#1", "split.sent@/log", "split.sent#0@/log", "#1@/log", "a#1,@/log", "a#1@log"],
)
def test_what_cannot_be_meant_is_refused(text):
    with pytest.raises(ImproperlyConfigured, match="meant for tests"):
        killpoint.parsed(text)
