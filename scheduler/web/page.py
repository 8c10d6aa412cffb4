"""Page and Action: what the dashboard shows and does. A page's view is data, of which the HTML page and its JSON twin are made.

A new page is a module in pages/ and a line in pages/listing.py; login, roles, headers, errors and the twin come by themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from .site import Site


class Question(Struct, frozen=True, kw_only=True):
    """What is asked for: the names in the path, and the fields of the query or of the form. `actor` stands in the audit."""

    path: Mapping[str, str] = {}
    fields: Mapping[str, Sequence[str]] = {}
    actor: str = ""

    def one(self, name: str) -> str:
        """The last value of a field, without the spaces around it; "" where it is not given."""
        values = self.fields.get(name, ())
        return values[-1].strip() if values else ""

    def all(self, name: str) -> tuple[str, ...]:
        """Its values that are not empty."""
        return tuple(value.strip() for value in self.fields.get(name, ()) if value.strip())


class Page(Struct, frozen=True, kw_only=True):
    """`path` and `api` are starlette's paths. `view` runs in a thread and gives msgspec data. `place` is its name in the navigation, "" for none."""

    path: str
    api: str
    title: str
    template: str
    view: Callable[[Site, Question], Struct]
    place: str = ""


class Action(Struct, frozen=True, kw_only=True):
    """What an operator may do, by form or by JSON. `act` runs in a thread and says in a sentence what it did; `back` is the page that follows."""

    path: str
    api: str
    name: str
    act: Callable[[Site, Question], str]
    back: str
