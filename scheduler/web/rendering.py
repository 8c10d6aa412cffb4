"""Rendering: templates of the package into HTML. Everything is escaped; a name that is not there is an error, never an empty place.

Text from outside (names, arguments, errors) loses what would change how the text around it reads: control characters and marks of writing
direction are shown as their code.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from .asset import Assets

HIDDEN = {"Cc", "Cf", "Co", "Cs", "Zl", "Zp"}
"""Categories of characters that are not seen, or change what is."""
SHAPES = {
    "SUCCESS": "\u25cf",
    "FAILURE": "\u25b2",
    "RETRY": "\u21bb",
    "STARTED": "\u25b6",
    "RECEIVED": "\u25d0",
    "SENT": "\u25cb",
    "REVOKED": "\u25a0",
    "REJECTED": "\u25a0",
    "IGNORED": "\u2013",
}
"""What stands beside a state besides its colour."""


class Rendering:
    """Thread-safe once it is made."""

    def __init__(self, assets: Assets) -> None:
        self._environment = Environment(
            loader=PackageLoader(__package__, "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.globals |= {"asset": assets.url, "shape": lambda state: SHAPES.get(state, "\u25c6")}
        self._environment.filters |= {
            "seen": seen,
            "time": time_tag,
            "seconds": seconds_text,
            "query": query_text,
        }

    def html(self, template: str, values: Mapping[str, Any]) -> str:
        """The whole page."""
        return self._environment.get_template(template).render(values)


def seen(value: object) -> str:
    """Text from outside, with every character visible; line breaks and tabs stay."""
    text = str(value)
    if text.isprintable():
        return text
    return "".join(
        f"\\u{{{ord(each):x}}}" if each not in "\n\t" and unicodedata.category(each) in HIDDEN else each
        for each in text
    )


def time_tag(us: int | None) -> Markup:
    """A moment in microseconds: in UTC, which the browser turns into the zone of its user."""
    if us is None:
        return Markup('<span class="none">\u2013</span>')
    moment = datetime.fromtimestamp(us / 1_000_000, UTC)
    text = f"{moment:%Y-%m-%d %H:%M:%S} UTC"
    return Markup('<time datetime="{}">{}</time>').format(moment.isoformat(), text)


def seconds_text(seconds: float | None) -> str:
    """A length of time, in the unit that fits."""
    if seconds is None:
        return "\u2013"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 60 else f"{int(seconds // 60)} min {int(seconds % 60)} s"  # noqa: PLR2004 - a minute


def query_text(fields: Mapping[str, Any]) -> str:
    """Fields as the query of a URL, without those that are empty."""
    return urlencode({name: value for name, value in fields.items() if value}, doseq=True)
