"""YamlText: JSON data as YAML that means the same to every reader, of YAML 1.1 and 1.2.

PURE. Text stands without quotes only where no reader takes it for something else; `$` is doubled, since the loader puts variables in.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_]*(?:[ ./_-][A-Za-z0-9_]+)*|(?:[0-9]+(?:ms|[wdhms]))+")
_WORDS = frozenset("true false null yes no on off y n".split())
_ESCAPED = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
_ONE_LINE = 80


def mapping_text(data: Mapping[str, object], indent: int) -> str:
    """The pairs of a mapping, each on lines of its own that begin with `indent` spaces."""
    return "".join(_pair(str(name), value, indent) for name, value in data.items())


def flow(value: object) -> str:
    """The value on one line."""
    match value:
        case str():
            return text(value)
        case Mapping():
            return "{" + ", ".join(f"{key(str(name))}: {flow(each)}" for name, each in value.items()) + "}"
        case Sequence():
            return "[" + ", ".join(flow(each) for each in value) + "]"
        case float():
            # YAML 1.1 knows no number as 1e+16, only 1.0e+16
            mantissa, exponent, power = json.dumps(value).partition("e")
            return f"{mantissa if '.' in mantissa or not exponent else mantissa + '.0'}{exponent}{power}"
        case _:
            return json.dumps(value)


def text(value: str) -> str:
    """A text, with quotes where it needs them."""
    return key(value).replace("$", "$$")


def key(name: str) -> str:
    """The same for a key; no variables are put into keys."""
    if _PLAIN.fullmatch(name) and name.lower() not in _WORDS:
        return name
    quoted = json.dumps(name, ensure_ascii=False)
    return _ESCAPED.sub(lambda match: f"\\u{ord(match.group()):04x}", quoted)


def _pair(name: str, value: object, indent: int) -> str:
    head = f"{' ' * indent}{key(name)}:"
    line = f"{head} {flow(value)}\n"
    if len(line) <= _ONE_LINE + indent or not value or not isinstance(value, Mapping | list | tuple):
        return line
    if isinstance(value, Mapping):
        return f"{head}\n{mapping_text(value, indent + 2)}"
    return f"{head}\n" + "".join(f"{' ' * (indent + 2)}- {flow(each)}\n" for each in value)
