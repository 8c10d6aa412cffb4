"""Resume: lets a canvas that failed go on: what failed runs again, and all that depends on it; what succeeded keeps its value. PURE.

    parts_to_run(plans, documents)              --> what failed by itself, and the joins above it
    resumed(what, messages, joins)              --> effects, to be brought in one step

A task that failed has its message beside its result. It is sent again in the next generation, and all that follows from it is of that
generation, too (decisions K6). What could not run because of it was settled without a message: it is only made to be not settled. Joins
above it keep the parts that they have. A failure that a group collects or drops is no failure of the canvas, and is left alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace

from .commit.base import JoinState
from .effect import Effect, KeepChain, Publish, ReopenJoin, Restart
from .message import Message
from .node import Call, Chain, Group, Node, Policy, calls
from .outcome import State
from .plan import Plan
from .results.document import Document

FAILED = frozenset({State.FAILURE, State.REVOKED, State.REJECTED, State.IGNORED})


@dataclass(slots=True)
class ToRun:
    """What has to run again. `stuck` failed too, but nothing is left of it by which it could be run."""

    roots: tuple[str, ...]
    failed: list[str] = field(default_factory=list)
    dependents: list[str] = field(default_factory=list)
    joins: dict[str, list[int]] = field(default_factory=dict)
    """Of each group above the parts that come anew."""
    added: set[str] = field(default_factory=set)
    """The ids of parts that come anew of those that groups were added: their places are known to the store alone."""
    chains: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)


def parts_to_run(plans: Sequence[Plan], documents: Mapping[str, Document]) -> ToRun:
    """What has to run again of the canvases of one root; `documents` of all their calls."""
    to_run = ToRun(tuple(dict.fromkeys(plan.root_id for plan in plans)))
    by_id = {plan.id: plan for plan in plans}
    inner = {
        call.id for plan in plans for call in calls(plan.skeleton) if call.id in by_id and call.id != plan.id
    }
    added: dict[str, list[Plan]] = {}
    for plan in plans:
        if plan.added_to:
            added.setdefault(plan.added_to, []).append(plan)
    walk = _Walk(by_id, added, documents, to_run)
    for plan in plans:
        if plan.id not in inner and not plan.added_to:
            walk.runs_again(plan.skeleton, within=plan.id)
    return to_run


@dataclass(slots=True)
class _Walk:
    plans: Mapping[str, Plan]
    added: Mapping[str, list[Plan]]
    """By the group to which they were added."""
    documents: Mapping[str, Document]
    to_run: ToRun

    def runs_again(self, node: Node, within: str) -> bool:
        """Whether `node` will have another value. `within`: the id of the plan that it is in."""
        match node:
            case Call():
                return self._call(node, within)
            case Chain():
                return self._chain(node, within)
            case Group():
                return self._group(node, within)
        raise AssertionError("a skeleton has no taps")

    def _call(self, call: Call, within: str) -> bool:
        document = self.documents.get(call.id)
        if document is None or document.state not in FAILED:
            return False
        if call.id != within and call.id in self.plans:
            return self.runs_again(
                self.plans[call.id].skeleton, within=call.id
            )  # it was replaced by this canvas
        if document.resume is None:
            self.to_run.stuck.append(call.id)
            return False
        self.to_run.failed.append(call.id)
        return True

    def _chain(self, chain: Chain, within: str) -> bool:
        for index, step in enumerate(chain.steps):
            if self.runs_again(step, within):
                later = [call.id for each in chain.steps[index + 1 :] for call in calls(each)]
                self.to_run.dependents += later
                self.to_run.chains.append(chain.id)
                return True
            if not self._succeeded(step):
                return False  # what follows failed because of it, and it cannot be run again
        return False

    def _group(self, group: Group, within: str) -> bool:
        if group.policy in (Policy.COLLECT, Policy.DROP):
            return False
        again = [index for index, member in enumerate(group.members) if self.runs_again(member, within)]
        added = [plan.id for plan in self._added_to(group) if self.runs_again(plan.skeleton, within=plan.id)]
        if again or added:
            self.to_run.joins.setdefault(group.id, []).extend(again)
            self.to_run.added.update(added)
        return bool(again or added)

    def _added_to(self, group: Group) -> list[Plan]:
        return self.added.get(group.id, [])

    def _succeeded(self, node: Node) -> bool:
        match node:
            case Call():
                return node.id not in self.documents or self.documents[node.id].state not in FAILED
            case Group(policy=Policy.COLLECT | Policy.DROP):
                return True
            case Group():
                added = (plan.skeleton for plan in self._added_to(node))
                return all(map(self._succeeded, (*node.members, *added)))
            case Chain():
                return all(map(self._succeeded, node.steps))
        raise AssertionError("a skeleton has no taps")


def resumed(to_run: ToRun, messages: Mapping[str, Message], joins: Mapping[str, JoinState]) -> list[Effect]:
    """What lets it go on. `messages`: those of `to_run.failed`; `joins`: the states of `to_run.joins`, as far as the store has them."""
    generation = 1 + max(
        [message.generation for message in messages.values()] + [state.generation for state in joins.values()]
    )
    effects: list[Effect] = [
        Restart((*messages, *to_run.dependents), generation, to_run.roots),
        *(KeepChain(chain_id) for chain_id in to_run.chains),
    ]
    for join_id, state in joins.items():
        # also parts that were not there when it was read: they may have come since
        again = {*to_run.joins[join_id], *(part.index for part in state.parts if part.id in to_run.added)}
        effects.append(ReopenJoin(join_id, tuple(sorted(again)), generation))
    effects += [Publish(_again(message, generation)) for message in messages.values()]
    return effects


def _again(message: Message, generation: int) -> Message:
    """As if it were new: without delay or expiry, its attempts counted anew."""
    return replace(message, generation=generation, attempt=0, first_attempt=0, eta_us=None, expires_us=None)
