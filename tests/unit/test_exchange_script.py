"""Which parts an exchange needs of its script. That they suffice shows where it runs: in the conformance suite."""

from __future__ import annotations

from typing import get_args

import pytest
from backbeat.canvas.commit.exchange_script import (
    CHORD,
    JOINS,
    LIMITS,
    OF_EFFECT,
    REVOKING,
    UNIQUE,
    parts_for,
)
from backbeat.canvas.commit.put_off import PutOff, Wait
from backbeat.canvas.commit.transition import Closing, Transition
from backbeat.canvas.effect import Effect, GrowJoin, Publish, Restart, SealJoin
from backbeat.canvas.json_text import Json
from backbeat.canvas.message import Message
from backbeat.canvas.outcome import Success
from backbeat.canvas.unique import Unique

MESSAGE = Message(id="m", task="t")
EFFECTS, TAKING = {"effects.lua"}, {"envelope.lua", "taking.lua"}


def test_every_effect_says_what_it_needs():
    assert set(OF_EFFECT) == set(get_args(Effect))


@pytest.mark.parametrize(
    ("transition", "parts"),
    [
        (Transition(message=MESSAGE, outcome=Success(value=Json("1"))), set()),
        (Transition(effects=(Publish(MESSAGE),)), EFFECTS),
        (Transition(effects=(SealJoin("j", 1),)), {*EFFECTS, JOINS}),
        (Transition(effects=(GrowJoin("j", "k", ("m",)),)), {*EFFECTS, JOINS, REVOKING}),
        (Transition(effects=(Restart(("m",), 1),)), {*EFFECTS, REVOKING}),
        (Transition(puts_off=PutOff(MESSAGE, Wait(1.0))), EFFECTS),
        (Transition(closes=Closing("j")), {*EFFECTS, JOINS}),
        (Transition(counted="g"), {*EFFECTS, CHORD}),
        (Transition(unique=Unique(key="k", id="m")), {REVOKING, UNIQUE}),
        (Transition(frees="k"), {LIMITS}),
    ],
)
def test_what_is_asked_for_is_in_the_script(transition, parts):
    assert parts_for([transition], takes=False) == parts
    assert parts_for([Transition(), transition], takes=True) == parts | TAKING
