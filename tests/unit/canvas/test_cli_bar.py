"""The progress bar of commands that take long: requeue, drop, backfill --wait."""

from __future__ import annotations

import io
import os
from contextlib import redirect_stderr

from backbeat.canvas.cli import Options


def seen_on_terminal(options: Options) -> str:
    """What the bar writes to a terminal that stands for standard error."""
    ours, theirs = os.openpty()
    with os.fdopen(theirs, "w", buffering=1) as stream:
        with redirect_stderr(stream):
            moved(options)
        stream.write("end\n")
        said = ""
        while "end" not in said:  # it comes in pieces
            said += os.read(ours, 65_536).decode()
        return said


def moved(options: Options) -> None:
    with options.bar("requeue", 4) as bar:
        for _ in range(4):
            bar.update(1)


def test_a_terminal_sees_the_bar_come_to_its_end():
    said = seen_on_terminal(Options())
    assert "requeue" in said
    assert "100%" in said


def test_with_quiet_nothing_is_shown():
    assert seen_on_terminal(Options(quiet=True)).strip() == "end"


def test_what_is_no_terminal_sees_no_bar():
    stream = io.StringIO()
    with redirect_stderr(stream):
        moved(Options())
    assert stream.getvalue() == ""
