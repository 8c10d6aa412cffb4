"""SavedGroups: the seam through which groups are kept under their ids, so that another client can have them back; and their form.

The form is Celery's, so that its clients restore what ours saved and the other way round: `{"result": [[id, parent], members]}`, where each
member is written as `AsyncResult.as_tuple` writes it. Of a very large group whose members' ids follow from its own (decisions K4) only
the size is kept: `{"result": [[id, parent], size]}`.
"""

from __future__ import annotations

import json
from typing import Any, Protocol

from ..errors import DecodeError, ImproperlyConfigured
from ..ids import derive

LONGEST_LIST = 10_000
"""Of so many members all ids are kept; a list of a million would take 80 MB."""


class SavedGroups(Protocol):
    """Keeps texts under the ids of groups. Thread-safe. Raises Unavailable when the store cannot be reached."""

    def save(self, id_: str, text: str, *, is_short: bool = False) -> None:
        """Keep `text` for as long as results are kept, in place of what was saved under this id before.

        `is_short`: it holds a size in place of members, which Celery's clients cannot read, so it is not put where they look.
        """
        ...

    def load(self, id_: str) -> str | None:
        """What was saved last under this id, by whatever client; None if there is nothing, or no more."""
        ...

    def delete(self, id_: str) -> None:
        """Nothing shall be saved under this id. Idempotent."""
        ...


class NoSavedGroups:
    """Where results are messages, and nothing is kept; a SavedGroups."""

    def save(self, id_: str, text: str, *, is_short: bool = False) -> None:  # noqa: ARG002 - the seam's
        raise _refusal(id_)

    def load(self, id_: str) -> str | None:
        raise _refusal(id_)

    def delete(self, id_: str) -> None:
        raise _refusal(id_)


def _refusal(id_: str) -> ImproperlyConfigured:
    return ImproperlyConfigured(
        f"group {id_}: the result backend rpc:// keeps no groups. Write App(backend='redis://...') or postgresql://, or keep as_tuple() yourself."
    )


def text_of(id_: str, written: tuple[Any, Any]) -> tuple[str, bool]:
    """The text to be saved for a group, of what `as_tuple` wrote of it, and whether that is the short form."""
    head, members = written
    is_short = len(members) > LONGEST_LIST and all(
        member == ((derive(id_, str(index)), None), None) for index, member in enumerate(members)
    )
    return json.dumps({"result": [head, len(members) if is_short else members]}), is_short


def written_of(id_: str, text: str) -> tuple[Any, Any]:
    """The inverse of `text_of`. Raises DecodeError for what neither Celery nor backbeat writes."""
    try:
        head, members = json.loads(text)["result"]
        if isinstance(members, int) and not isinstance(members, bool):
            members = [[[derive(id_, str(index)), None], None] for index in range(members)]
    except (ValueError, KeyError, TypeError) as error:
        raise not_a_group(id_, repr(error)) from error
    return head, members


def celerys_form(text: str) -> Any:
    """What Celery's clients keep of a group that was saved as `text`; None for a text that is no group."""
    try:
        return json.loads(text)["result"]
    except (ValueError, KeyError, TypeError):
        return None


def not_a_group(id_: str, why: str) -> DecodeError:
    """The error for something else that lies where a group should be."""
    return DecodeError(f"what is saved of group {id_} is not a group of Celery's: {why}")
