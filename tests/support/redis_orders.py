"""What the suites over one Redis share: a queue, messages for it, and sending them."""

from __future__ import annotations

import time

from backbeat.canvas.commit.transition import Transition
from backbeat.canvas.effect import Publish
from backbeat.canvas.message import Message

QUEUE = "orders"


def message(id_="a", **known) -> Message:
    return Message(id=id_, task="app.add", queue=QUEUE, **known)


def publish(commit, *messages, not_before_us=None) -> None:
    commit.exchange([Transition(effects=tuple(Publish(m, not_before_us) for m in messages))])


def now_us() -> int:
    return time.time_ns() // 1_000
