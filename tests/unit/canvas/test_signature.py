"""Signatures as users write them: partial arguments, clones, composition, ids, and the way through JSON."""

from __future__ import annotations

import copy
import json
from importlib import import_module

import pytest
from backbeat.canvas import (
    App,
    AsyncResult,
    GroupResult,
    Signature,
    chain,
    chord,
    group,
    signature,
    subtask,
)
from backbeat.canvas.errors import ImproperlyConfigured
from backbeat.canvas.ids import derive
from backbeat.canvas.node import Call, Chain, Group

app = App("sigs", broker="memory://", set_as_current=False)


@app.task(name="add")
def add(x, y=0):
    return x + y


@app.task(name="xsum")
def xsum(values):
    return sum(values)


def tasks_of(node):
    """The canvas as nested names: a chain is a tuple, a group a list."""
    match node:
        case Call():
            return node.task
        case Chain():
            return tuple(map(tasks_of, node.steps))
        case Group():
            return [tasks_of(member) for member in node.members]


def t(name):
    return Signature(name, app=app)


# --- one task ------------------------------------------------------------------------------------------------------------------


def test_a_signature_is_a_mapping_of_six_keys():
    sig = add.s(1, y=2)

    assert dict(sig) == {
        "task": "add",
        "args": [1],
        "kwargs": {"y": 2},
        "options": {},
        "subtask_type": None,
        "immutable": False,
    }
    assert sig["args"] == sig.args == [1]
    assert (sig.task, sig.name, sig.kwargs, sig.options, sig.immutable) == ("add", "add", {"y": 2}, {}, False)
    assert sig.app is app


def test_si_and_subtask_and_signature_make_the_same_kind():
    assert add.si(1).immutable
    assert add.subtask((1,), {"y": 2}, queue="q") == add.signature((1,), {"y": 2}, queue="q")
    assert add.signature((1,), immutable=True) == add.si(1)
    assert signature("add", (1,), {"y": 2}, {"queue": "q"}) == add.signature((1,), {"y": 2}, queue="q")
    assert signature(add, (1,)) == add.s(1)
    assert subtask is signature


def test_a_clone_has_arguments_in_front_and_keywords_and_options_winning():
    sig = add.s(1, y=2).set(queue="slow", priority=3)

    new = sig.clone((0,), {"y": 5}, queue="fast")

    assert (new.args, new.kwargs, new.options) == ([0, 1], {"y": 5}, {"queue": "fast", "priority": 3})
    assert (sig.args, sig.kwargs, sig.options) == ([1], {"y": 2}, {"queue": "slow", "priority": 3})
    assert new.app is app


def test_a_clone_shares_nothing_with_the_original():
    sig = add.s([1]).set(headers={"a": [1]})

    new = sig.clone()
    new.args[0].append(2)
    new.options["headers"]["a"].append(2)

    assert sig.args == [[1]]
    assert sig.options == {"headers": {"a": [1]}}


def test_an_immutable_signature_drops_arguments_but_merges_options():
    new = add.si(1).partial((0,), {"y": 5}, queue="q")

    assert (new.args, new.kwargs, new.options) == ([1], {}, {"queue": "q"})
    assert add.s(1).clone(immutable=True) == add.si(1)


def test_replace_substitutes_wholesale():
    sig = add.s(1, y=2).set(queue="q")

    assert sig.replace(args=(9,)).args == [9]
    assert sig.replace(kwargs={}).kwargs == {}
    assert sig.replace(options={"priority": 1}).options == {"priority": 1}
    assert sig.args == [1]


def test_set_changes_in_place_and_returns_the_signature():
    sig = add.s(1)

    assert sig.set(queue="q", countdown=3) is sig
    assert sig.options == {"queue": "q", "countdown": 3}
    assert sig.set(immutable=True).immutable


def test_links_are_added_once_and_the_linked_signature_is_returned():
    sig, callback, errback = add.s(1), add.s(2), add.s(3)

    assert sig.link(callback) is callback
    sig.link(add.s(2))
    assert sig.options["link"] == [callback]
    assert sig.link_error(errback) is errback
    assert sig.on_error(errback) is sig
    assert sig.options["link_error"] == [errback]
    assert add.s(1).set(link=callback).link(errback) is errback


def test_freezing_keeps_the_first_id_also_in_clones():
    sig = add.s(1)

    handle = sig.freeze()
    assert sig.freeze("other") == handle == AsyncResult(sig.id)
    assert sig.clone().id == sig.id
    assert add.s(1).freeze("mine").id == "mine"
    assert add.s(1).set(task_id="given").freeze().id == "given"


def test_calling_a_signature_runs_the_function_here():
    assert add.s(1, y=2)() == 3
    assert add.s(1)(5) == 6


def test_its_text_reads_as_a_call():
    assert repr(add.s(1, y=2)) == "add(1, y=2)"
    assert repr(add.s(1) | add.s(2)) == "add(1) | add(2)"
    assert repr(chord([add.s(1)], xsum.s())) == "chord(group(add(1)), xsum())"


def test_a_signature_without_an_app_needs_a_default_one(monkeypatch):
    monkeypatch.setattr(import_module("backbeat.canvas.default_app"), "_default", [])

    with pytest.raises(ImproperlyConfigured, match="create one with App"):
        _ = Signature("x").app
    default = App("default", broker="memory://")
    assert Signature("x").app is default
    assert Signature("x", app=app).app is app


# --- through JSON --------------------------------------------------------------------------------------------------------------

CANVASES = {
    "task": lambda: add.s(1, y=2).set(queue="q", task_id="x"),
    "immutable": lambda: add.si(1),
    "linked": lambda: linked(add.s(1)),
    "chain": lambda: chain(add.s(1), add.s(2), task_id="x"),
    "group": lambda: group(add.s(1), add.s(2) | xsum.s()),
    "empty group": group,
    "chord": lambda: chord([add.s(1), add.s(2)], xsum.s()),
    "nested": lambda: chord([chord([add.s(1)], xsum.s()), add.s(2) | group(add.s(3))], xsum.s() | add.s(1)),
    "group in the middle": lambda: add.s(1) | group(add.s(2), add.s(3)) | xsum.s(),
}


def linked(sig):
    sig.link(add.s(2) | add.s(3))
    sig.link_error(add.si(4))
    return sig


@pytest.mark.parametrize("make", CANVASES.values(), ids=CANVASES)
def test_a_canvas_survives_json(make):
    sig = make()

    back = signature(json.loads(json.dumps(sig)), app=app)

    assert type(back) is type(sig)
    assert back == sig
    assert back.to_node() == sig.to_node()
    assert back.app is app


@pytest.mark.parametrize("make", CANVASES.values(), ids=CANVASES)
def test_a_canvas_survives_copies(make):
    sig = make()

    for new in (copy.copy(sig), copy.deepcopy(sig), sig.clone()):
        assert type(new) is type(sig)
        assert new == sig
        assert new.to_node() == sig.to_node()


def test_inner_signatures_come_to_life():
    sig = signature(json.loads(json.dumps(chord([add.s(1) | add.s(2)], xsum.s()))), app=app)

    assert isinstance(sig, chord)
    assert isinstance(sig.tasks, group)
    assert isinstance(sig.tasks.tasks[0], chain)
    assert isinstance(sig.body, Signature)


def test_celerys_shape_of_composites():
    assert (add.s(1) | add.s(2))["task"] == "celery.chain"
    assert group(add.s(1))["subtask_type"] == "group"
    sig = chord([add.s(1)], xsum.s())
    assert sig["task"] == "celery.chord"
    assert sorted(sig["kwargs"]) == ["body", "header", "kwargs"]


# --- chain ---------------------------------------------------------------------------------------------------------------------


def test_chains_take_arguments_a_list_or_a_generator_and_are_spliced():
    wanted = ("a", "b", "c")

    assert tasks_of(chain(t("a"), t("b"), t("c")).to_node()) == wanted
    assert tasks_of(chain([t("a"), t("b"), t("c")]).to_node()) == wanted
    assert tasks_of(chain(t(name) for name in "abc").to_node()) == wanted
    assert tasks_of(chain(t("a"), chain(t("b"), chain(t("c")))).to_node()) == wanted
    assert tasks_of(chain(t("a")).to_node()) == "a"


def test_an_empty_chain_sends_nothing_adds_nothing_and_has_no_value():
    assert chain(app=app).apply_async() is None
    assert chain(app=app).delay() is None
    assert tasks_of((t("a") | chain()).to_node()) == "a"
    assert tasks_of((chain() | t("a")).to_node()) == "a"
    assert tasks_of((group(t("a")) | chain()).to_node()) == ["a"]
    for sig in (chain(), group(chain()), chord([t("a")], chain())):
        with pytest.raises(ImproperlyConfigured, match="no steps"):
            sig.to_node()


def test_a_chain_frozen_knows_all_its_ids():
    sig = chain(t("a"), t("b"), t("c"))

    handle = sig.freeze("x")

    assert handle.id == "x"
    assert handle.parent.id == derive("x", "step:1")
    assert handle.parent.parent.id == derive("x", "step:0")
    assert handle.parent.parent.parent is None
    assert sig.to_node().steps[2].id == "x"


def test_the_options_of_a_chain_in_a_group_reach_its_ends():
    inner = chain(t("a"), t("b"), task_id="x", queue="slow").clone(args=(5,))
    inner.set(link=[t("l")])

    (member, _) = group(inner, t("c")).to_node().members

    assert (member.steps[0].options["queue"], member.steps[0].args) == ("slow", "[5]")
    assert (member.id, member.steps[1].link[0].task) == ("x", "l")
    assert "queue" not in member.steps[1].options


def test_link_goes_to_the_last_step_and_link_error_to_every_one_but_a_header():
    sig = t("a") | group(t("b"), t("c")) | t("d")

    sig.link(t("l"))
    sig.link_error(t("e"))

    a, header, d = sig.to_node().steps
    assert [len(c.link_error) for c in (a, *header.members, d)] == [1, 0, 0, 1]
    assert [len(c.link) for c in (a, *header.members, d)] == [0, 0, 0, 1]


def test_link_error_reaches_a_group_at_the_end():
    sig = chain(t("a"), group(t("b"), t("c")))
    sig.link_error(t("e"))

    assert [len(member.link_error) for member in sig.to_node().steps[1].members] == [1, 1]


# --- group ---------------------------------------------------------------------------------------------------------------------


def test_groups_take_arguments_a_list_or_a_generator_and_are_flattened():
    wanted = ["a", "b", "c"]

    assert tasks_of(group(t("a"), t("b"), t("c")).to_node()) == wanted
    assert tasks_of(group([t("a"), t("b"), t("c")]).to_node()) == wanted
    assert tasks_of(group(t(name) for name in "abc").to_node()) == wanted
    assert tasks_of(group(t("a"), group(t("b"), group(t("c")))).to_node()) == wanted
    assert tasks_of(group(group(t("a"), t("b")), t("c")).to_node()) == wanted


def test_a_group_is_a_sequence_of_its_members():
    sig = group(add.s(1), add.s(2))

    assert len(sig) == 2
    assert list(sig) == sig.tasks == [add.s(1), add.s(2)]
    assert set(sig.keys()) >= {"task", "kwargs"}


def test_a_group_frozen_knows_its_members():
    sig = group(t("a"), t("b"))

    handle = sig.freeze("g")

    assert isinstance(handle, GroupResult)
    assert [member.id for member in handle] == [derive("g", "0"), derive("g", "1")]
    node = sig.to_node()
    assert (node.id, [member.id for member in node.members]) == ("g", [member.id for member in handle])


def test_set_immutable_marks_all_members():
    sig = group(add.s(1), add.s(2)).set(immutable=True)

    assert [member.immutable for member in sig.tasks] == [True, True]


def test_link_on_a_group_is_refused_and_names_chord():
    for link in (group(t("a")).link, chain(t("x"), group(t("a"))).link):
        with pytest.raises(TypeError, match="chord"):
            link(t("l"))
    with pytest.raises(TypeError, match="chord"):
        group(t("a")).set(link=t("l")).to_node()


@pytest.mark.parametrize("errback", [Signature("e"), Signature("e", immutable=True)])
def test_link_error_on_a_group_reaches_every_member(errback):
    sig = group(t("a"), chain(t("b"), t("c")))

    assert sig.link_error(errback) is errback

    a, b_c = sig.to_node().members
    assert [len(c.link_error) for c in (a, *b_c.steps)] == [1, 1, 1]
    app.prepare(sig)  # and can be sent


# --- chord ---------------------------------------------------------------------------------------------------------------------


def test_a_header_may_be_a_group_a_list_or_a_generator():
    wanted = (["a", "b"], "z")

    assert tasks_of(chord(group(t("a"), t("b")), t("z")).to_node()) == wanted
    assert tasks_of(chord([t("a"), t("b")], t("z")).to_node()) == wanted
    assert tasks_of(chord((t(name) for name in "ab"), t("z")).to_node()) == wanted
    assert tasks_of(chord([], t("z")).to_node()) == ([], "z")


def test_a_nested_plain_group_in_a_header_keeps_its_order():
    assert tasks_of(chord([group(t("a"), t("b")), t("c")], t("z")).to_node()) == (["a", "b", "c"], "z")


def test_a_body_may_be_anything():
    assert tasks_of(chord([t("a")], t("y") | t("z")).to_node()) == (["a"], "y", "z")
    assert tasks_of(chord([t("a")], group(t("y"), t("z"))).to_node()) == (["a"], ["y", "z"])
    assert tasks_of(chord([t("a")], chord([t("x")], t("z"))).to_node()) == (["a"], ["x"], "z")


def test_a_chord_without_a_body_is_refused_until_it_has_one():
    with pytest.raises(ImproperlyConfigured, match="no body"):
        chord([t("a")]).to_node()


def test_a_chords_handle_is_its_bodys_with_the_header_as_parent():
    handle = chord([t("a"), t("b")], t("z")).freeze("x")

    assert handle.id == "x"
    assert isinstance(handle.parent, GroupResult)
    assert [member.id for member in handle.parent] == [derive(handle.parent.id, str(i)) for i in range(2)]


def test_a_chord_as_a_step_keeps_its_header_between_the_steps():
    sig = chain(t("s"), chord([t("a")], t("z")))

    handle = sig.freeze("x")

    assert (handle.id, handle.parent.parent.id) == ("x", derive("x", "step:0"))
    assert isinstance(handle.parent, GroupResult)


def test_link_goes_to_the_body_and_link_error_too():
    sig = chord([t("a")], t("z"))
    sig.link(t("l"))
    sig.link_error(t("e"))

    header, body = sig.to_node().steps
    assert (len(body.link), len(body.link_error)) == (1, 1)
    assert (len(header.members[0].link), len(header.members[0].link_error)) == (0, 0)


def test_set_immutable_on_a_chord_is_for_the_header():
    sig = chord([add.s(1)], xsum.s()).set(immutable=True)

    assert sig.tasks.tasks[0].immutable
    assert not sig.body.immutable


# --- | -------------------------------------------------------------------------------------------------------------------------

OPERANDS = {
    "t": lambda n: t(f"{n}t"),
    "c": lambda n: chain(t(f"{n}c1"), t(f"{n}c2")),
    "cg": lambda n: chain(t(f"{n}s"), group(t(f"{n}g1"), t(f"{n}g2"))),
    "ch": lambda n: chain(t(f"{n}s"), chord([t(f"{n}h")], t(f"{n}b"))),
    "g": lambda n: group(t(f"{n}g1"), t(f"{n}g2")),
    "g1": lambda n: group(t(f"{n}g1")),
    "g0": lambda _: group(),
    "h": lambda n: chord([t(f"{n}h1"), t(f"{n}h2")], t(f"{n}b")),
}


def steps(node):
    names = tasks_of(node)
    return names if isinstance(names, tuple) else (names,)


@pytest.mark.parametrize("left", OPERANDS)
@pytest.mark.parametrize("right", OPERANDS)
def test_composing_two_is_one_after_the_other_and_leaves_both_as_they_were(left, right):
    one, two = OPERANDS[left]("l"), OPERANDS[right]("r")
    before = json.dumps([one, two])

    both = one | two

    assert steps(both.to_node()) == steps(one.to_node()) + steps(two.to_node())
    assert json.dumps([one, two]) == before


def test_what_comes_out_has_celerys_types():
    assert isinstance(t("a") | t("b"), chain)
    assert isinstance(group(t("a")) | t("b"), chord)
    assert isinstance(chord([t("a")], t("b")) | t("c"), chord)
    assert isinstance(t("a") | group(t("b")), chain)


@pytest.mark.parametrize("other", [5, None, "add", ["add"]])
def test_only_signatures_compose(other):
    with pytest.raises(TypeError):
        _ = t("a") | other


def test_a_chain_of_a_list_belongs_to_the_app_of_its_steps():
    other = App("other", broker="memory://other", set_as_current=False)
    sig = other.signature("t", [1])

    assert chain([sig, sig]).app is other
    assert chain(step for step in [sig, sig]).app is other


def test_a_canvas_as_callback_keeps_its_own_options_and_callbacks():
    callback = chain(t("c1"), t("c2")).set(queue="later")
    callback.link(t("l"))
    callback.link_error(t("e"))
    sig = t("a")
    sig.link(callback)
    sig.link_error(callback)

    (link,), (errback,) = sig.to_node().link, sig.to_node().link_error
    assert link == errback == callback.to_node()
    assert link.steps[0].options["queue"] == "later"
    assert [call.task for call in link.steps[1].link] == ["l"]
