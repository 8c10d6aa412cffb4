"""CanvasRun: one canvas that was sent, by the id of any part of it: to look at, to cancel, to let go on where it failed.

What it consists of is its plan, which the store keeps; how far it has come its results say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager

from msgspec import Struct
from msgspec.structs import replace

from .commit.base import Commit
from .commit.taken import decoded
from .commit.transition import Transition
from .delivery import Delivery
from .effect import Effect, Publish, Restart
from .errors import UnknownResult
from .killpoint import reach
from .message import Message
from .node import Call, calls
from .plan import Plan, inside, rest_of
from .results.base import Results
from .results.document import Document
from .resume import parts_to_run, resumed
from .signing import Keyring

SLICE = 500
"""Messages that are sent again in one step."""


class Resumed(Struct, frozen=True):
    """What `retry` did: how many tasks run again, how many more follow them, and those of which nothing is left to run them by."""

    failed: int
    dependents: int
    stuck: tuple[str, ...]


class CanvasRun(Struct, frozen=True):
    """`id` is that of the root, of the canvas's value, or of a task of it that has begun; or of any part, if `near` are ids of that kind.

    Nothing is read before it is asked for.
    """

    id: str
    client: Callable[[], AbstractContextManager[Commit]]
    results: Results
    keyring: Keyring
    near: Sequence[str] = ()

    def plans(self) -> Sequence[Plan]:
        """What it consists of; of its root's other canvases too. Raises UnknownResult if nothing is known of it."""
        with self.client() as client:
            plans = client.load(plans=[self.id, *self.near]).plans
            if plans:
                return plans
            (document,) = self.results.get([self.id])
            if document.root_id is not None and (plans := client.load(plans=[document.root_id]).plans):
                return plans
        if document.date_done is None and document.worker is None and document.name is None:
            raise UnknownResult(
                f"nothing is known of canvas {self.id}: there is no plan of it, which is kept for a week or as long as results, and no "
                "result of a task with this id"
            )
        alone = Call(task=document.name or "", id=self.id)
        return [Plan(root_id=self.id, parent_id=document.parent_id, skeleton=alone)]

    def documents(self, plans: Sequence[Plan]) -> Mapping[str, Document]:
        """The results of all its tasks, by their ids."""
        ids = list(dict.fromkeys(call.id for plan in plans for call in calls(plan.skeleton)))
        return {document.id: document for document in self.results.get(ids)}

    def cancel(self, *, rest_only: bool = False, signum: int | None = None, was_sent: bool = False) -> None:
        """See to it that no more of it starts, also what is sent only later; what has not begun is REVOKED at once.

        `rest_only`: this task or group, and what comes after it; what stands before or beside it goes on. With `signum` what runs is
        ended by this signal. Raises UnknownResult if nothing is known of it, unless whoever asks knows that it `was_sent`.
        """
        try:
            plans = self.plans()
        except UnknownResult:
            if not was_sent:
                raise
            plans = []  # a single task that has not begun
        ids = [self.id]
        if rest_only:
            ids += [id_ for plan in plans for id_ in inside(plan.skeleton, self.id)]
            ids += [id_ for plan in plans for id_ in rest_of(plan.skeleton, self.id) or ()]
        else:
            # the roots first: from then on nothing starts
            ids = [*(plan.root_id for plan in plans), *ids]
            ids += [call.id for plan in plans for call in calls(plan.skeleton)]
        with self.client() as client:
            reach("canvas.cancelling")
            client.revoke(list(dict.fromkeys(ids)), signum)
            reach("canvas.cancelled")

    def retry(self) -> Resumed:
        """Run again what failed of it, and all that depends on it; what succeeded keeps its value and is not run."""
        plans = self.plans()
        documents = self.documents(plans)
        to_run = parts_to_run(plans, documents)
        messages = {id_: self._message(documents[id_]) for id_ in to_run.failed}
        if messages:
            with self.client() as client:
                joins = client.load(joins=list(to_run.joins)).joins
                for effects in _slices(resumed(to_run, messages, joins)):
                    reach("canvas.retrying")
                    client.exchange([Transition(effects=tuple(effects))])
                reach("canvas.retried")
        return Resumed(len(messages), len(to_run.dependents) if messages else 0, tuple(to_run.stuck))

    def _message(self, document: Document) -> Message:
        """Raises MessageError for one that must not be believed."""
        assert document.resume is not None
        taken = decoded(Delivery("", "", None, document.resume), self.keyring, is_moved=True)
        if taken.message is None:
            raise UnknownResult(f"the message of task {document.id} cannot be read: {taken.reason}")
        return taken.message


def _slices(effects: Sequence[Effect]) -> list[list[Effect]]:
    """What was to be done in one step, in several where it is much: each has all that its own messages need."""
    sent = [effect for effect in effects if isinstance(effect, Publish)]
    if len(sent) <= SLICE:
        return [list(effects)]
    (restart,) = [effect for effect in effects if isinstance(effect, Restart)]
    others = [effect for effect in effects if not isinstance(effect, Publish | Restart)]
    own = {effect.message.id for effect in sent}
    first: list[Effect] = [replace(restart, ids=tuple(id_ for id_ in restart.ids if id_ not in own)), *others]
    slices = [first]
    for index in range(0, len(sent), SLICE):
        part = sent[index : index + SLICE]
        slices.append([replace(restart, ids=tuple(effect.message.id for effect in part), roots=()), *part])
    return slices
