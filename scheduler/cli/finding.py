"""Finding: one line of `backbeat doctor`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Verdict(Enum):
    """What a check found."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line. `text` says what was found and, if it is not right, what to do."""

    check: str
    verdict: Verdict
    text: str


def ok(check: str, text: str) -> Finding:
    """All is well."""
    return Finding(check=check, verdict=Verdict.OK, text=text)


def warn(check: str, text: str) -> Finding:
    """A beat runs so, and something may go wrong some day."""
    return Finding(check=check, verdict=Verdict.WARN, text=text)


def fail(check: str, text: str) -> Finding:
    """A beat does not run so, or sends nothing."""
    return Finding(check=check, verdict=Verdict.FAIL, text=text)
