"""Poison: what no worker can run, or what kills whoever runs it. Each kind is given by itself, under load, and looked after until it has ended:
as one dead letter that says why, and as a failure of its handle, where it can be told whose it is.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backbeat.canvas.outcome import State

from support.hostile import hostiles_for
from support.processes import wait_until
from support.stacks import Stack

from . import tasks

SECONDS = 60.0
Letter = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Poison:
    """One kind, before it is given. `id` is None where nothing tells which task it is."""

    what: str
    id: str | None
    send: Callable[[Stack], object]

    def give(self, stack: Stack) -> Ended:
        """Send it, and wait until it has ended."""
        before = len(_of(self.id, stack.dead_letters()))
        self.send(stack)

        def letters() -> list[Letter]:
            return _of(self.id, stack.dead_letters())[before:]

        found = wait_until(letters, SECONDS, what=f"the dead letter of {self.what!r}")
        state = error = ""
        if self.id is not None:
            handle = stack.app.AsyncResult(self.id)
            wait_until(handle.ready, SECONDS, what=f"the end of {self.what!r}")
            (document,) = stack.app.results.get([self.id])
            state, error = str(document.state), document.error.type if document.error else ""
        return Ended(
            what=self.what, id=self.id, reason=str(found[0]["reason"] or ""), state=state, error=error
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What one became: the reason of its dead letter; the state of its handle and the type of its error, where it has a handle."""

    what: str
    id: str | None
    reason: str
    state: str
    error: str


def poisons_for(stack: Stack, marker: Path) -> list[Poison]:
    """All kinds that the broker of a stack carries. `marker` is a file that is made if a pickle is loaded."""
    task = f"{tasks.NAME}.add"
    found = [
        Poison(what=hostile.what, id=hostile.id, send=hostile.send)
        for hostile in hostiles_for(stack, marker, task)
    ]
    id_ = str(uuid.uuid4())
    return [
        *found,
        Poison(
            what="task that kills its process",
            id=id_,
            send=lambda stack: stack.app.send_task(f"{tasks.NAME}.deadly", task_id=id_),
        ),
    ]


def faults_of(ended: Sequence[Ended], dead: Sequence[str]) -> Iterator[str]:
    """What is wrong with what they became. `dead` are the ids of all dead letters, "None" where there is no id."""
    for each in ended:
        if not each.reason:
            yield f"{each.what}: its dead letter gives no reason"
        if each.id is not None and each.state != State.FAILURE:
            yield f"{each.what}: its handle says {each.state!r}"
    letters = Counter(dead)
    for id_, count in Counter(str(each.id) for each in ended).items():
        if letters[id_] != count:
            kinds = ", ".join(each.what for each in ended if str(each.id) == id_)
            yield f"{letters[id_]} dead letters in place of {count}: {kinds}"


def _of(id_: str | None, letters: Sequence[Letter]) -> list[Letter]:
    return [letter for letter in letters if str(letter["task_id"]) == str(id_)]
