"""Listing: the pages and actions of the dashboard, in the order of its navigation. A new one is a line here."""

from __future__ import annotations

from ..page import Action, Page
from .overview import overview_page
from .runs import runs_page


def pages() -> list[Page]:
    """All pages."""
    return [overview_page(), runs_page()]


def actions() -> list[Action]:
    """All that an operator may do."""
    return []
