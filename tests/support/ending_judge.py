"""EndingJudge: says what each call of a tree must come to when one of them ends badly. It walks the tree, and knows nothing else.

What follows the call that broke has failed by the very same error; what waits for a group in which something failed, by a ChordError that names
the first member that failed and holds its error as its cause. Each call that comes before, or beside it, has run once.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from backbeat.canvas.ids import derive
from backbeat.canvas.node import Call, Chain, Group, Node, first_calls
from backbeat.canvas.outcome import Error, State, repr_of
from backbeat.canvas.results.document import Document

from .ending_world import Ending


@dataclass(frozen=True, slots=True)
class Broken:
    """In place of a value that is not there: the repr of the error why."""

    text: str


@dataclass
class EndingJudge:
    """`wrong` says what is not as it must be."""

    broken: Call
    ending: Ending
    documents: Mapping[str, Document]
    starts: Mapping[str, int]
    wrong: list[str] = field(default_factory=list)
    told: set[str] = field(default_factory=set)
    """The calls whose error callbacks must have been called."""

    def judge(self, tree: Node) -> list[str]:
        """Compare all of it; what is wrong, in words."""
        pending = [id_ for id_, document in self.documents.items() if not document.ready]
        if pending:
            return [f"{id_} is {self.documents[id_].state}" for id_ in pending]
        self._judge(tree, None, joins=False)
        called = {id_ for id_ in self.documents if self.starts.get(derive(id_, "errback:0"))}
        if called != self.told:
            self.wrong.append(
                f"error callbacks were called of {sorted(called)}, and should be of {sorted(self.told)}"
            )
        self.wrong += [f"{id_} ran {n} times" for id_, n in self._starts() if n != 1]
        return self.wrong

    def _starts(self) -> Iterator[tuple[str, int]]:
        for id_ in self.told:
            yield f"the error callback of {id_}", self.starts.get(derive(id_, "errback:0"), 0)

    def _judge(self, node: Node, value: object, *, joins: bool) -> object:
        """What `node`, started with `value` (Broken: never started), comes to. `joins`: something waits for it."""
        match node:
            case Call():
                return self._judge_call(node, value)
            case Chain():
                for index, step in enumerate(node.steps):
                    is_last = index == len(node.steps) - 1
                    value, before = self._judge(step, value, joins=joins or not is_last), value
                    has_failed = isinstance(value, Broken) and not isinstance(before, Broken)
                    if has_failed and isinstance(step, Group):
                        self._group_tells(node.steps[index + 1 :])
                return value
            case Group() if isinstance(value, Broken):
                for member in node.members:
                    self._judge(member, value, joins=True)
                return value
            case Group():
                values = [self._judge(member, value, joins=joins) for member in node.members]
                for member, each in zip(node.members, values, strict=True):
                    if isinstance(each, Broken) and joins:
                        return Broken(f"ChordError({f'Dependency {member.id} raised {each.text}'!r})")
                return values
        raise AssertionError("a tree has no taps")

    def _judge_call(self, call: Call, value: object) -> object:
        document, starts = self.documents[call.id], self.starts.get(call.id, 0)
        if isinstance(value, Broken):
            self._must(call, document.state is State.FAILURE, f"is {document.state}, and cannot have run")
            self._must(call, starts == 0, "was started, and nothing can have started it")
            self._blames(call, document.error, value.text)
            return value
        if call.id == self.broken.id:
            return self._judge_broken(call, document, starts)
        self._must(call, document.state is State.SUCCESS, f"is {document.state}, and nothing was in its way")
        self._must(call, starts == 1, f"was started {starts} times")
        self._must(call, json.loads(document.value) == call.id, f"returned {document.value}")
        self._must(call, _args(document) == ([] if value is None else [value]), f"got {document.args}")
        return call.id

    def _judge_broken(self, call: Call, document: Document, starts: int) -> Broken:
        self._must(call, document.state is self.ending.state, f"is {document.state}")
        self._must(
            call, starts == self.ending.starts, f"was started {starts} times, not {self.ending.starts}"
        )
        self.told.add(call.id)
        if document.state is not State.FAILURE:
            return Broken(f"{self.ending.error}({self.ending.text!r})")
        assert document.error is not None
        self._blames(call, document.error, repr_of(document.error))
        return Broken(repr_of(document.error))

    def _group_tells(self, steps: Sequence[Node]) -> None:
        for step in steps:
            self.told |= {call.id for call in first_calls(step)}
            if not isinstance(step, Group):
                return

    def _blames(self, call: Call, error: Error | None, text: str) -> None:
        if error is None:
            self.wrong.append(f"{call.id} failed without an error")
            return
        self._must(call, repr_of(error) == text, f"failed by {repr_of(error)}, not by {text}")
        self._must(call, error.node == self.broken.id, f"blames {error.node}, not {self.broken.id}")
        while error.type == "ChordError" and error.cause is not None:
            error = error.cause
        self._must(call, error.type == self.ending.error, f"was broken by {error.type}")

    def _must(self, call: Call, holds: bool, otherwise: str) -> None:
        if not holds:
            self.wrong.append(f"{call.task} {call.id} {otherwise}")


def _args(document: Document) -> object:
    return None if document.args is None else json.loads(document.args)
