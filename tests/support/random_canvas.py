"""Random canvases, and the naive evaluator that says what each of them must come to.

The evaluator walks the tree and knows nothing of messages, joins or stores. Tasks return a value that differs from run to run, so the
value of a call is what the store says stands; its arguments are what the evaluator says they must be.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from backbeat.canvas.ids import derive
from backbeat.canvas.json_text import Json
from backbeat.canvas.mark import ERROR, MARK
from backbeat.canvas.message import Message, message_of
from backbeat.canvas.node import (
    HOOKS,
    Call,
    Chain,
    Group,
    Node,
    Policy,
    Tap,
    calls,
    chain_of,
    first_calls,
    flat,
    freeze,
    tapped,
)
from backbeat.canvas.outcome import State
from backbeat.canvas.replacing import VALUE_TASK, frozen_for, in_place_of
from backbeat.canvas.results.document import Document

RETRIED = 3
"""Runs of the task "retry", which succeeds in its third one."""
PAST = "2001-01-01T00:00:00+00:00"


def random_canvas(rng: random.Random, depth: int = 3) -> Node:
    """A canvas of calls, chains, groups and chords to `depth`; about one call in eight does not succeed, one in eight is listened to."""
    node = _random_canvas(rng, depth)
    if depth and rng.random() < 0.12:
        hooks = {name: (random_call(rng, links=False),) for name in HOOKS if rng.random() < 0.6}
        node = tapped(node, "some.canvas", hooks)
    return node


def _random_canvas(rng: random.Random, depth: int) -> Node:
    kind = rng.choice(["call", "chain", "group", "chord", "chord"]) if depth else "call"
    match kind:
        case "chain":
            return chain_of(tuple(random_canvas(rng, depth - 1) for _ in range(rng.randint(1, 4))))
        case "group":
            return _random_group(rng, depth)
        case "chord":
            return chain_of((_random_group(rng, depth), random_canvas(rng, depth - 1)))
    return random_call(rng, links=depth > 0)


def _random_group(rng: random.Random, depth: int) -> Group:
    members = flat(random_canvas(rng, depth - 1) for _ in range(rng.choice([0, 1, 2, 2, 3])))
    return Group(members=members, policy=rng.choices(list(Policy), [6, 1, 1, 1])[0])


def random_call(rng: random.Random, *, links: bool) -> Call:
    task = rng.choices(["ok", "retry", "replaced", "fail", "expired", "ignored"], [74, 8, 6, 6, 3, 3])[0]
    options = {"expires": PAST} if task == "expired" else {}
    return Call(
        task=task,
        args=Json(json.dumps([rng.randint(0, 9) for _ in range(rng.randint(0, 2))])),
        immutable=rng.random() < 0.15,
        options=options,
        link=tuple(random_canvas(rng, 1) for _ in range(rng.choice([0, 0, 0, 1, 2]))) if links else (),
        link_error=tuple(random_call(rng, links=False) for _ in range(rng.choice([0, 0, 1])))
        if links
        else (),
    )


def replacement_of(message: Message) -> Node:
    """The frozen canvas that the run of a task "replaced" puts in its place: always the same one for the same run."""
    rng = random.Random(f"{message.id}/{message.attempt}")
    return frozen_for(message, random_canvas(rng, 1))


def _in_place_of(call: Call) -> Node:
    message = message_of(call, args=call.args, then=None, root_id="", parent_id=None)
    return in_place_of(message, replacement_of(message))


@dataclass(frozen=True)
class _Told:
    """Equal to the report of a canvas that ended so."""

    id: str
    state: str

    def __eq__(self, other: object) -> bool:
        return isinstance(other, dict) and (other.get("id"), other.get("state")) == (self.id, self.state)

    def __hash__(self) -> int:
        return hash(self.id)


class _AnError:
    """Equal to an error in the place of a value."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, dict) and other.get(MARK) == ERROR

    def __hash__(self) -> int:
        return 0


@dataclass
class Expectation:
    """What must be true of the store when nothing moves any more."""

    documents: Mapping[str, Document]
    revoked: frozenset[str]
    repaired: bool = False
    """Whether tasks that fail were repaired, and the canvas was made to go on."""
    starts: dict[tuple[str, int], int] = field(default_factory=dict)
    """How often each call must have been started where nobody died, by its id and by the attempt from which on it has that id."""
    stopped: set[str] = field(default_factory=set)
    """Calls that were revoked because another one failed: some of them may have run before, and not all that they led to is known."""
    wrong: list[str] = field(default_factory=list)
    pending: list[str] = field(default_factory=list)

    def check(self, node: Node, value: object = None, *, first: bool = True) -> tuple[bool, object]:
        """Compare the frozen `node`, started with `value`, with the store; returns (succeeded, value)."""
        match node:
            case Call(task="replaced") if node.id not in self.revoked:
                self._must_have_started(node)
                return self.check(_in_place_of(node))
            case Call():
                return self._check_call(node, value, first=first)
            case Chain():
                ok = True
                for index, step in enumerate(node.steps):
                    if isinstance(step, Tap):
                        self._check_tap(step, ok=ok, value=value)
                    elif ok:
                        ok, value = self.check(step, value, first=first and index == 0)
                        if not ok and isinstance(step, Group) and index + 1 < len(node.steps):
                            self._check_told(node.steps[index + 1 :])
                    else:
                        self._must_have_failed(step)
                return ok, value
            case Group():
                return self._check_group(node, value, first=first)
            case Tap():
                raise AssertionError("a tap stands in a chain")

    def _check_group(self, node: Group, value: object, *, first: bool) -> tuple[bool, object]:
        stopped = self._stopped(node) if node.policy is Policy.FAIL_FAST else frozenset()
        self.revoked |= stopped
        self.stopped |= stopped
        results = [self.check(member, value, first=first) for member in node.members]
        match node.policy:
            case Policy.COLLECT:
                return True, [value if ok else _AnError() for ok, value in results]
            case Policy.DROP:
                return True, [value for ok, value in results if ok]
        return all(ok for ok, _ in results), [value for _, value in results]

    def _stopped(self, node: Group) -> frozenset[str]:
        """The calls of a group that were revoked because another one of it failed."""
        inside = list(calls(node))
        states = {call.id: self.documents[call.id].state for call in inside if call.id in self.documents}
        stopped = frozenset(id_ for id_, state in states.items() if state is State.REVOKED) - self.revoked
        failed = {state for id_, state in states.items() if id_ not in stopped} - {State.SUCCESS}
        if stopped and not failed and not any(call.task in ("expired", "replaced") for call in inside):
            self.wrong.append(f"calls of group {node.id} were revoked though none of it failed")
        return stopped

    def _check_tap(self, tap: Tap, *, ok: bool, value: object) -> None:
        told = _Told(tap.id, "SUCCESS" if ok else "FAILURE")
        called = {"on_success": value, "on_done": told} if ok else {"on_failure": told, "on_done": told}
        for name, argument in called.items():
            for index, callback in enumerate(tap.hooks.get(name, ())):
                self.check(freeze(callback, derive(tap.key, f"{name}:{index}")), argument, first=False)
        for name in set(tap.hooks) - set(called):
            for index, callback in enumerate(tap.hooks[name]):
                id_ = derive(tap.key, f"{name}:{index}")
                if id_ in self.documents and self.documents[id_].state is not State.PENDING:
                    self.wrong.append(f"{name} of {tap.id} was called: {callback}")

    def _check_call(self, call: Call, value: object, *, first: bool) -> tuple[bool, object]:
        document = self._document(call)
        if document is None:
            return False, None
        expected = State.FAILURE if call.task == "fail" and not self.repaired else State.SUCCESS
        if call.task == "expired" or call.id in self.revoked:
            expected = State.REVOKED
        elif call.task == "ignored":
            expected = State.IGNORED
        if document.state is not expected:
            self.wrong.append(f"{call.task} {call.id} is {document.state}, not {expected}")
        args = json.loads(call.args)
        if not first and not call.immutable:
            args = [value, *args]
        if call.id in self.revoked:
            pass  # it ended when it was revoked, before anybody knew its arguments
        elif document.args is None or json.loads(document.args) != args:
            self.wrong.append(f"{call.task} {call.id} got {document.args}, not {args}")
        if expected is not State.REVOKED:
            self._must_have_started(call)
        succeeded = document.state is State.SUCCESS
        result = json.loads(document.value)
        if succeeded and call.task == VALUE_TASK and result != value:
            self.wrong.append(f"{call.id}, that a group has taken the place of, is {result}, not {value}")
        if succeeded:
            for index, link in enumerate(call.link):
                self.check(freeze(link, derive(call.id, f"link:{index}")), result, first=False)
        else:
            self._check_errbacks(call)
        return succeeded, result

    def _must_have_started(self, call: Call) -> None:
        if call.task != VALUE_TASK:  # which workers answer themselves
            key = call.id, int(call.options.get("first_attempt", 0))
            self.starts[key] = RETRIED if call.task == "retry" else 1

    def check_starts(self, started: Mapping[str, int]) -> None:
        """Compare how often each task was started, by its id, after `check`, where nobody died."""
        expected: Counter[str] = Counter()
        for (id_, _), count in self.starts.items():
            expected[id_] += count
        known = expected.keys() if self.stopped else expected.keys() | started.keys()
        for id_ in sorted(known - self.stopped):
            if started.get(id_, 0) != expected[id_]:
                self.wrong.append(f"{id_} was started {started.get(id_, 0)} times, not {expected[id_]}")

    def _check_errbacks(self, call: Call) -> None:
        for index, errback in enumerate(call.link_error):
            frozen = freeze(errback, derive(call.id, f"errback:{index}"))
            if call.task == "replaced" and call.id in self.stopped:
                # it may have been replaced before it was stopped, and what took its place have failed, and told so first
                for told in first_calls(frozen):
                    self._document(told)
            else:
                self.check(frozen, call.id, first=False)

    def _check_told(self, steps: Sequence[Node]) -> None:
        """A group that failed is told of by what was to follow it, and groups in a row by what was to follow the last, too."""
        for step in steps:
            for call in first_calls(step):
                self._check_errbacks(call)
            if not isinstance(step, Group | Tap):
                return

    def _must_have_failed(self, node: Node) -> None:
        match node:
            case Call():
                document = self._document(node)
                expected = State.REVOKED if node.id in self.revoked else State.FAILURE
                if document is not None and document.state is not expected:
                    self.wrong.append(f"{node.task} {node.id} can not run, but is {document.state}")
            case Tap():
                self._check_tap(node, ok=False, value=None)
            case Chain(steps=inside) | Group(members=inside):
                for each in inside:
                    self._must_have_failed(each)

    def _document(self, call: Call) -> Document | None:
        document = self.documents.get(call.id)
        if document is None or not document.ready:
            self.pending.append(f"{call.task} {call.id}")
            return None
        return document


def all_ids(node: Node) -> Iterator[str]:
    """The ids of every call that could ever run for the frozen `node`, links and error callbacks included."""
    for call in calls(node):
        yield call.id
        if call.task == "replaced":
            yield from all_ids(_in_place_of(call))
        for index, link in enumerate(call.link):
            yield from all_ids(freeze(link, derive(call.id, f"link:{index}")))
        for index, errback in enumerate(call.link_error):
            yield from all_ids(freeze(errback, derive(call.id, f"errback:{index}")))
    for tap in _taps(node):
        for name, callbacks in tap.hooks.items():
            for index, callback in enumerate(callbacks):
                yield from all_ids(freeze(callback, derive(tap.key, f"{name}:{index}")))


def _taps(node: Node) -> Iterator[Tap]:
    match node:
        case Tap():
            yield node
        case Chain(steps=inside) | Group(members=inside):
            for each in inside:
                yield from _taps(each)
