"""Scalar values by YAML 1.2's core schema: what an unquoted text means.

PURE. PyYAML's own rules are YAML 1.1's, which turn `12:30` into 750, `no` into False and `0123` into 83. Here only
true/false, null/~, decimal, 0o and 0x integers and floats are more than text; dates and times stay text. Numbers that
mean different things to different readers, or that JSON cannot hold, are refused instead of guessed.
"""

from __future__ import annotations

import re

ScalarValue = str | int | float | bool | None

_CONSTANTS: dict[str, bool | None] = {
    "": None,
    "~": None,
    "null": None,
    "Null": None,
    "NULL": None,
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
}
_DECIMAL = re.compile(r"[-+]?[0-9]+\Z", re.ASCII)
_BASED = re.compile(r"0o[0-7]+\Z|0x[0-9a-fA-F]+\Z")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z", re.ASCII)
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)\Z|\.(nan|NaN|NAN)\Z")
_NUMBER_START = frozenset("+-.0123456789")
MOST = 2**63 - 1  # what a signed 64-bit integer holds: databases, other languages' JSON readers
DIGITS = 20  # of an integer that could still fit; int() of more is work for nothing


class ScalarRefusedError(ValueError):
    """An unquoted text that looks like a number and must not be guessed; `help` says what to write."""

    def __init__(self, message: str, help: str) -> None:
        super().__init__(message)
        self.help = help


def resolve(text: str) -> ScalarValue:
    """The value of an unquoted scalar. Raises ScalarRefusedError for 0123, .inf, .nan and numbers beyond 64 bits."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if text[0] not in _NUMBER_START:
        return text
    if _DECIMAL.match(text):
        return _decimal(text)
    if _BASED.match(text):
        return _fits(int(text, 0) if len(text) <= DIGITS + 2 else MOST + 1)
    if _FLOAT.match(text):
        return _finite(float(text))
    if _NOT_FINITE.match(text):
        raise ScalarRefusedError(
            f"{text} is not a number that JSON can hold", f'put quotes around it: "{text}"'
        )
    return text


def _decimal(text: str) -> int:
    digits = text.lstrip("+-")
    if digits[0] == "0" and len(digits) > 1:
        plain = digits.lstrip("0") or "0"
        raise ScalarRefusedError(
            f"{text[:40]} could be octal or decimal",
            f'write {plain[:40]}, or put quotes around it: "{text[:40]}"',
        )
    return _fits(int(text) if len(digits) <= DIGITS else MOST + 1)


def _fits(value: int) -> int:
    if not -MOST - 1 <= value <= MOST:
        raise ScalarRefusedError("a number beyond 64 bits", "put quotes around it, so that it stays text")
    return value


def _finite(value: float) -> float:
    if value in (float("inf"), float("-inf")):
        raise ScalarRefusedError(
            "a number too large for a float", "put quotes around it, so that it stays text"
        )
    return value
