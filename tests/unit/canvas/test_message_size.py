"""How large messages are: what a member carries depends neither on its body nor on its siblings, nor a step on the length of its chain."""

from __future__ import annotations

from itertools import pairwise

import pytest
from backbeat.canvas import chain, chord
from backbeat.canvas.commit.mailbox import Mailbox

from support.eager import Fleet

SHORT = 1_536
"""Bytes of an envelope: 1.5 kB."""


class Copying(Mailbox):
    """Keeps a copy of all that is put into it."""

    def __init__(self):
        super().__init__()
        self.texts = []

    def put(self, queue, text):
        self.texts.append(text)
        super().put(queue, text)


class Post(Fleet):
    """A fleet that keeps the texts of all messages that were sent."""

    def __init__(self):
        super().__init__()
        self.store.state.mail = Copying()
        self.app.task(name="project.tasks.add")(lambda *values: 1)
        self.add = self.app.tasks["project.tasks.add"]

    def sent(self, sig, *, drain=False):
        """The texts of the messages that came of `sig`."""
        self.store.state.mail.texts.clear()
        sig.apply_async()
        if drain:
            self.drain("celery", "backbeat", limit=5_000)
        return list(self.store.state.mail.texts)


@pytest.fixture
def post():
    return Post()


def test_a_member_of_a_chord_of_a_thousand_is_short_whatever_its_body_is(post):
    texts = post.sent(chord([post.add.s(n, n) for n in range(1_000)], post.add.s("x" * 10_000)))

    assert len(texts) == 1_000
    assert max(map(len, texts)) <= SHORT


def test_a_step_of_a_chain_of_a_thousand_is_short(post):
    texts = post.sent(chain(*(post.add.s(n) for n in range(1_000))), drain=True)

    assert len(texts) == 1_000
    assert max(map(len, texts)) <= SHORT


def test_what_nested_chords_send_grows_with_their_depth_and_no_faster(post):
    sizes = []
    for depth in range(1, 9):
        sig = post.add.s(1)
        for _ in range(depth):
            sig = chord([sig, post.add.s(2)], post.add.s())
        texts = post.sent(sig)
        sizes.append(sum(map(len, texts)))
        assert max(map(len, texts)) <= SHORT

    steps = [after - before for before, after in pairwise(sizes)]
    assert max(steps) - min(steps) <= 10
