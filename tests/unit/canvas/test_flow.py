"""Every rule of flow, without a store: what effects follow from what happened."""

from __future__ import annotations

import json

import pytest
from backbeat.canvas import flow, own_tasks
from backbeat.canvas.continuation import ChainRecord, Inline, JoinRecord, Member, Step, chain_needed
from backbeat.canvas.effect import AddPart, CloseChain, OpenChain, OpenJoin, Part, Publish, Settle
from backbeat.canvas.flow import joined, next_steps, start
from backbeat.canvas.ids import derive
from backbeat.canvas.message import Message
from backbeat.canvas.node import Call, Chain, Group, chain_of, freeze, root_of
from backbeat.canvas.outcome import Error, Failure, Ignored, Rejected, Retry, Revoked, Success
from msgspec.structs import replace

BROKE = Failure(error=Error(type="ValueError", args='["no"]', text="no", node="t1"), traceback="tb")


def call(task: str, *args: object, **known: object) -> Call:
    return Call(task=task, args=json.dumps(list(args)), **known)


def group(*members: object) -> Group:
    return Group(members=tuple(members))


def chain(*steps: object) -> Chain:
    return chain_of(tuple(steps))


def frozen(node, id_="root"):
    return freeze(node, id_)


def begin(node, *, inline_limit=0, **known):
    """Effects of starting `node`, and the chain records among them."""
    effects = start(node, root_of(node), inline_limit=inline_limit, **known)
    return effects, chains_in(effects)


def chains_in(effects):
    return {e.record.chain_id: e.record for e in effects if isinstance(e, OpenChain)}


def joins_in(effects):
    return [e for e in effects if isinstance(e, OpenJoin)]


def sent(effects):
    return [e.message for e in effects if isinstance(e, Publish)]


def settled(effects):
    return [(e.id, e.name) for e in effects if isinstance(e, Settle)]


def kinds(effects):
    return [type(e).__name__ for e in effects]


def success(value):
    return Success(value=json.dumps(value))


# --- start ---------------------------------------------------------------------------------------------------------------------


def test_a_call_is_one_message_that_is_its_own_root():
    (message,) = sent(begin(frozen(call("add", 1, 2)))[0])

    assert (message.id, message.root_id, message.parent_id, message.then) == ("root", "root", None, None)
    assert json.loads(message.args) == [1, 2]


def test_the_first_step_of_a_chain_starts_and_the_record_is_opened_before_it():
    node = frozen(chain(call("a"), call("b"), call("c")))

    effects, chains = begin(node)

    assert kinds(effects) == ["OpenChain", "Publish"]
    (message,) = sent(effects)
    assert message.task == "a"
    assert message.then == Step("root", 1)
    assert chains["root"] == ChainRecord(
        chain_id="root", steps=node.steps, below=None, root_id=node.steps[0].id
    )


def test_a_short_chain_of_plain_calls_travels_in_its_message():
    node = frozen(chain(call("a"), call("b"), call("c")))

    effects, _ = begin(node, inline_limit=flow.INLINE_LIMIT)

    (message,) = sent(effects)
    assert message.then == Inline(node.steps[1:])


@pytest.mark.parametrize(
    "step",
    [
        call("b", "x" * 3_000),
        call("b", link=(call("l"),)),
        call("b", link_error=(call("e"),)),
        group(call("b"), call("c")),
    ],
    ids=["long", "link", "link_error", "group"],
)
def test_a_chain_that_is_long_or_not_plain_is_stored(step):
    node = frozen(chain(call("a"), step, call("z")))

    effects, chains = begin(node, inline_limit=flow.INLINE_LIMIT)

    assert kinds(effects) == ["OpenChain", "Publish"]
    assert sent(effects)[0].then == Step(node.id, 1)
    assert list(chains) == [node.id]


def test_members_of_a_plain_group_report_to_no_join_and_say_whose_they_are():
    effects, _ = begin(frozen(group(call("a"), chain(call("b"), call("c"))), "g"), inline_limit=2_000)

    first, second = sent(effects)
    assert (first.group_id, first.group_index, first.then) == ("g", 0, None)
    assert second.group_id is None  # only the last step of a chain is the group's
    (last,) = second.then.steps
    assert (last.options["group_id"], last.options["group_index"]) == ("g", 1)
    assert not joins_in(effects)


def test_a_chord_opens_its_chain_then_its_join_and_then_sends_the_header():
    node = frozen(chain(group(call("a"), call("b")), call("body")))
    header = node.steps[0]

    effects, _ = begin(node)

    assert kinds(effects) == ["OpenChain", "OpenJoin", "Publish", "Publish"]
    join = effects[1]
    assert (join.size, join.lease_seconds) == (2, None)
    assert join.record == JoinRecord(join_id=header.id, then=Step("root", 1), root_id=header.id)
    assert [(m.then, m.group_id, m.group_index) for m in sent(effects)] == [
        (Member(header.id, 0), header.id, 0),
        (Member(header.id, 1), header.id, 1),
    ]


def test_an_empty_group_has_the_value_of_an_empty_list_at_once():
    effects, _ = begin(frozen(group()))
    assert effects == []

    effects, _ = begin(frozen(chain(group(), call("body", 9))))
    (body,) = sent(effects)
    assert (body.id, json.loads(body.args), body.then) == ("root", [[], 9], None)
    assert not joins_in(effects)


def test_a_chain_of_empty_groups_only_ends_with_nothing_to_do():
    effects, _ = begin(frozen(chain(group(), group())))

    assert kinds(effects) == ["OpenChain", "CloseChain"]


def test_an_empty_group_in_a_header_is_a_part_with_an_empty_list():
    node = frozen(chain(group(chain(call("a"), group()), call("b")), call("body")))
    effects, _ = begin(node)
    inner = chains_in(effects)[node.steps[0].members[0].id]

    then = next_steps(
        sent(effects)[0],
        success(1),
        {inner.chain_id: inner, **chains_in(effects)},
    )

    assert [(e.index, e.outcome.value) for e in then if isinstance(e, AddPart)] == [(0, "[]")]


def test_a_chain_in_a_header_is_stored_with_the_join_below_it():
    node = frozen(chain(group(chain(call("a"), call("b"))), call("body")))
    header = node.steps[0]

    effects, chains = begin(node, inline_limit=flow.INLINE_LIMIT)

    assert chains[header.members[0].id].below == Member(header.id, 0)
    assert sent(effects)[0].then == Step(header.members[0].id, 1)


def test_what_is_sent_by_a_task_keeps_its_root_and_names_its_parent():
    effects = start(frozen(group(call("a"), call("b"))), "above", parent_id="me")

    assert {(m.root_id, m.parent_id) for m in sent(effects)} == {("above", "me")}


def test_starting_twice_gives_the_same_effects():
    node = frozen(chain(group(call("a"), chain(call("b"), group(call("c")))), call("body")))

    assert begin(node)[0] == begin(node)[0]


# --- next steps: success -------------------------------------------------------------------------------------------------------


def stored(*steps, below=None, chain_id="ch"):
    node = frozen(Chain(steps=steps), chain_id)
    return {chain_id: ChainRecord(chain_id=chain_id, steps=node.steps, below=below, root_id="r")}


def message(then=None, **known):
    return Message(**{"id": "t1", "task": "t", "root_id": "r", **known}, then=then)


def test_nothing_follows_a_task_that_stands_alone():
    assert next_steps(message(), success(1), {}) == []


@pytest.mark.parametrize(("immutable", "args"), [(False, [5, 1]), (True, [1])], ids=["partial", "immutable"])
def test_the_next_step_gets_the_value_in_front_unless_it_is_immutable(immutable, args):
    chains = stored(call("a"), call("b", 1, immutable=immutable), call("c"))

    effects = next_steps(message(Step("ch", 1)), success(5), chains)

    (b,) = sent(effects)
    assert (b.task, json.loads(b.args), b.then) == ("b", args, Step("ch", 2))
    assert (b.root_id, b.parent_id) == ("r", "t1")
    assert kinds(effects) == ["Publish"]


def test_the_last_step_closes_the_chain_and_takes_over_what_is_below():
    chains = stored(call("a"), call("b"), below=Member("j", 3))

    effects = next_steps(message(Step("ch", 1)), success(5), chains)

    assert kinds(effects) == ["Publish", "CloseChain"]
    (b,) = sent(effects)
    assert (b.id, b.then, b.group_id, b.group_index) == ("ch", Member("j", 3), "j", 3)
    assert effects[1] == CloseChain("ch")


def test_inline_steps_shrink_from_message_to_message_and_need_no_record():
    steps = (call("b", id="b"), call("c", id="c"))

    (b,) = sent(next_steps(message(Inline(steps)), success(1), {}))
    assert b.then == Inline(steps[1:])
    (c,) = sent(next_steps(b, success(2), {}))
    assert (c.then, c.parent_id) == (None, "b")
    assert next_steps(c, success(3), {}) == []


def test_inline_steps_hand_over_to_what_is_below_them():
    (b,) = sent(next_steps(message(Inline((call("b", id="b"),), Member("j", 0))), success(1), {}))

    assert b.then == Member("j", 0)
    assert chain_needed(Inline((), Step("ch", 1))) == "ch"
    assert chain_needed(Member("j", 0)) is None
    assert chain_needed(None) is None


def test_a_member_brings_its_value_as_a_part():
    effects = next_steps(message(Member("j", 2)), success(7), {})

    assert effects == [AddPart("j", 2, "t1", success(7))]


def test_a_group_as_a_step_opens_a_join_for_the_step_after_it():
    chains = stored(call("a"), group(call("b", 1), call("c", immutable=True)), call("d"))

    effects = next_steps(message(Step("ch", 1)), success(5), chains)

    join = effects[0]
    assert (join.record.then, join.record.parent_id, join.size) == (Step("ch", 2), "t1", 2)
    assert [(m.task, json.loads(m.args)) for m in sent(effects)] == [("b", [5, 1]), ("c", [])]


def test_a_group_as_the_last_step_of_a_chain_in_a_header_gives_its_list_to_the_header():
    chains = stored(call("a"), group(call("b"), call("c")), below=Member("j", 0))

    effects = next_steps(message(Step("ch", 1)), success(5), chains)

    assert effects[0].record.then == Member("j", 0)
    assert isinstance(effects[-1], CloseChain)


def test_a_group_as_the_last_step_of_all_needs_no_join():
    chains = stored(call("a"), group(call("b"), call("c")))

    assert kinds(next_steps(message(Step("ch", 1)), success(5), chains)) == [
        "Publish",
        "Publish",
        "CloseChain",
    ]


def test_an_empty_group_between_two_steps_is_passed_with_an_empty_list():
    chains = stored(call("a"), group(), call("c"))

    (c,) = sent(next_steps(message(Step("ch", 1)), success(5), chains))

    assert (c.task, json.loads(c.args)) == ("c", [[]])


def test_a_chain_whose_record_is_missing_is_a_key_error():
    with pytest.raises(KeyError):
        next_steps(message(Step("gone", 1)), success(1), {})


# --- links ---------------------------------------------------------------------------------------------------------------------


def test_each_link_is_called_with_the_value_under_an_id_of_its_own():
    links = (call("one"), call("two", 9), call("three", 9, immutable=True))

    messages = sent(next_steps(message(link=links), success(5), {}))

    assert [json.loads(m.args) for m in messages] == [[5], [5, 9], [9]]
    assert [m.id for m in messages] == [derive("t1", f"link:{i}") for i in range(3)]
    assert {(m.parent_id, m.root_id) for m in messages} == {("t1", "r")}


def test_a_link_may_be_a_chain_or_a_group():
    effects = next_steps(
        message(link=(chain(call("a"), call("b")), group(call("c"), call("d")))), success(5), {}
    )

    tasks = [(m.task, json.loads(m.args)) for m in sent(effects)]
    assert tasks == [("a", [5]), ("c", [5]), ("d", [5])]


def test_links_come_after_the_step_that_follows():
    chains = stored(call("a"), call("b"))

    effects = next_steps(message(Step("ch", 1), link=(call("l"),)), success(5), chains)

    assert [m.task for m in sent(effects)] == ["b", "l"]


def test_links_are_not_called_when_the_task_did_not_succeed():
    assert next_steps(message(link=(call("l"),)), BROKE, {}) == []


# --- endings other than success ------------------------------------------------------------------------------------------------

ENDINGS = {
    "failure": (BROKE, "ValueError"),
    "revoked": (Revoked(reason="expired"), "TaskRevokedError"),
    "rejected": (Rejected(reason="no"), "Reject"),
    "ignored": (Ignored(), "Ignore"),
}


@pytest.mark.parametrize(("outcome", "error"), ENDINGS.values(), ids=ENDINGS)
def test_every_later_id_is_settled_with_the_cause(outcome, error):
    later = chain(call("b"), group(call("c"), chain(call("d"), call("e"))), call("f"))
    chains = stored(call("a"), *later.steps)

    effects = next_steps(message(Step("ch", 1)), outcome, chains)

    assert [name for _, name in settled(effects)] == ["b", "c", "d", "e", "f"]
    assert all(id_ for id_, _ in settled(effects))
    assert {e.outcome.error.type for e in effects if isinstance(e, Settle)} == {error}
    assert kinds(effects)[-1] == "CloseChain"
    assert not sent(effects)


@pytest.mark.parametrize(("outcome", "error"), ENDINGS.values(), ids=ENDINGS)
def test_a_member_that_did_not_succeed_is_a_part_too(outcome, error):
    (part,) = next_steps(message(Member("j", 1)), outcome, {})

    assert (part.index, part.id, part.outcome.error.type) == (1, "t1", error)


def test_a_failure_reaches_the_join_below_under_the_last_id_of_the_chain():
    chains = stored(call("a"), call("b"), below=Member("j", 0))

    effects = next_steps(message(Step("ch", 1)), BROKE, chains)

    assert kinds(effects) == ["Settle", "CloseChain", "AddPart"]
    assert effects[-1] == AddPart("j", 0, "ch", BROKE)


def test_a_failure_cascades_through_chains_below():
    chains = stored(call("a"), call("b"), below=Step("outer", 1)) | stored(
        call("x"), call("y"), chain_id="outer"
    )

    effects = next_steps(message(Step("ch", 1)), BROKE, chains)

    assert [name for _, name in settled(effects)] == ["b", "y"]
    assert [e.chain_id for e in effects if isinstance(e, CloseChain)] == ["ch", "outer"]


def test_inline_steps_are_settled_too_and_there_is_no_record_to_close():
    then = Inline((call("b", id="b"), call("c", id="c")), Member("j", 0))

    assert next_steps(message(then), BROKE, {}) == [
        Settle("b", BROKE, "b"),
        Settle("c", BROKE, "c"),
        AddPart("j", 0, "c", BROKE),
    ]


@pytest.mark.parametrize(("outcome", "error"), ENDINGS.values(), ids=ENDINGS)
def test_error_callbacks_get_the_failed_id_in_front_and_the_error_beside_it(outcome, error):
    errbacks = (call("e1", 1), call("e2", 2, immutable=True))

    one, two = sent(next_steps(message(link_error=errbacks), outcome, {}))

    assert json.loads(one.args) == ["t1", 1]
    assert json.loads(two.args) == [2]
    assert one.id == derive("t1", "errback:0")
    assert one.parent_id == "t1"
    assert (one.errback["id"], one.errback["name"], one.errback["exc_type"]) == ("t1", "t", error)


def test_error_callbacks_of_later_steps_are_not_called():
    chains = stored(call("a"), call("b", link_error=(call("e"),)))

    assert not sent(next_steps(message(Step("ch", 1)), BROKE, chains))


def test_an_error_callback_may_be_a_chain():
    effects = next_steps(message(link_error=(chain(call("e1"), call("e2")),)), BROKE, {})

    (first,) = sent(effects)
    assert (first.task, json.loads(first.args)) == ("e1", ["t1"])
    assert first.errback["exc_type"] == "ValueError"


def test_error_callbacks_are_not_called_on_success():
    assert next_steps(message(link_error=(call("e"),)), success(1), {}) == []


# --- retry ---------------------------------------------------------------------------------------------------------------------


def test_a_retry_is_the_same_message_with_the_next_attempt_and_nothing_else_moves():
    first = message(Step("ch", 1), link=(call("l"),), link_error=(call("e"),), args="[1]")

    (publish,) = next_steps(first, Retry(eta_us=77), {})

    assert publish.message == replace(first, attempt=1, eta_us=77)


def test_a_retry_may_bring_other_arguments():
    (publish,) = next_steps(message(args="[1]"), Retry(eta_us=1, args="[2]", kwargs='{"a": 1}'), {})

    assert (publish.message.args, publish.message.kwargs) == ("[2]", '{"a": 1}')


# --- joins ---------------------------------------------------------------------------------------------------------------------


def record(then):
    return JoinRecord(join_id="j", then=then, root_id="r", parent_id="p")


def parts(*outcomes):
    return [Part(index, f"m{index}", outcome) for index, outcome in enumerate(outcomes)]


def test_a_body_gets_one_list_in_the_plans_order():
    chains = stored(group(), call("body", 9))
    found = list(reversed(parts(success(1), success([2]), success("x"))))

    (body,) = sent(joined(record(Step("ch", 1)), found, chains))

    assert (body.id, json.loads(body.args), body.parent_id) == ("ch", [[1, [2], "x"], 9], "p")


def test_a_body_that_is_a_group_gives_the_list_to_every_member():
    chains = stored(group(), group(call("a"), call("b", immutable=True)))

    messages = sent(joined(record(Step("ch", 1)), parts(success(1)), chains))

    assert [json.loads(m.args) for m in messages] == [[[1]], []]


def test_a_join_in_a_join_brings_its_list_as_a_part():
    assert joined(record(Member("outer", 4)), parts(success(1), success(2)), {}) == [
        AddPart("outer", 4, "j", Success(value="[1,2]"))
    ]


def test_a_join_that_nothing_follows_ends():
    assert joined(record(None), parts(success(1)), {}) == []


def test_a_failed_member_settles_body_and_tail_with_a_chord_error():
    chains = stored(group(), call("body"), call("tail"))

    effects = joined(record(Step("ch", 1)), parts(success(1), BROKE, success(2)), chains)

    assert [name for _, name in settled(effects)] == ["body", "tail"]
    error = effects[0].outcome.error
    assert (error.type, error.module) == ("ChordError", "celery.exceptions")
    assert error.text == "Dependency m1 raised ValueError('no')"
    assert error.cause == BROKE.error
    assert error.node == "t1"  # the task that broke, not the member through which it is told
    assert not sent(effects)


@pytest.mark.parametrize(
    ("type_", "args", "text"),
    [
        ("KeyError", '["x"]', "KeyError('x')"),
        ("ValueError", "[]", "ValueError()"),
        ("ValueError", '["a", 1, null]', "ValueError('a', 1, None)"),
        ("Outer.Inner", '["a"]', "Inner('a')"),
    ],
)
def test_the_chord_error_names_the_exception_as_repr_does(type_, args, text):
    failure = Failure(error=Error(type=type_, args=args, text="whatever"))

    (settle, _) = joined(record(Step("ch", 1)), parts(failure), stored(group(), call("body")))

    assert settle.outcome.error.text == f"Dependency m0 raised {text}"


def test_the_first_failure_in_the_plans_order_is_told():
    other = Failure(error=Error(type="KeyError", args='["k"]', node="t2"))

    effects = joined(
        record(Step("ch", 1)), list(reversed(parts(BROKE, other))), stored(group(), call("body"))
    )

    assert "m0" in effects[0].outcome.error.text


def test_error_callbacks_of_the_body_are_called_once_under_the_bodys_id():
    chains = stored(group(), call("body", link_error=(call("e"),)), call("tail", link_error=(call("late"),)))

    effects = joined(record(Step("ch", 1)), parts(BROKE, BROKE), chains)

    (errback,) = sent(effects)
    body_id = chains["ch"].steps[1].id
    assert (errback.task, json.loads(errback.args)) == ("e", [body_id])
    assert (errback.errback["id"], errback.errback["name"]) == (body_id, "body")
    assert (errback.errback["exc_type"], errback.errback["traceback"]) == ("ChordError", "")


def test_a_failed_join_in_a_join_is_a_failed_part_of_the_outer_one():
    (part,) = joined(record(Member("outer", 1)), parts(BROKE), {})

    assert (part.join_id, part.index, part.id) == ("outer", 1, "j")
    assert part.outcome.error.type == "ChordError"
    assert part.outcome.error.node == "t1"


def test_an_interrupted_sender_settles_the_body_and_calls_its_error_callbacks():
    chains = stored(group(), call("body", link_error=(call("e"),)))

    joined = record(Step("ch", 1))
    effects = flow.given_up(joined, flow.interrupted(joined.join_id), chains)

    assert [m.task for m in sent(effects)] == ["e"]
    assert [e.outcome.error.type for e in effects if isinstance(e, Settle)] == ["SendInterrupted"]


def test_the_message_of_a_join_has_one_id_and_goes_to_the_control_queue():
    one, two = own_tasks.join_message("j"), own_tasks.join_message("j")

    assert one == two
    assert (one.task, one.queue, json.loads(one.args)) == (own_tasks.JOIN_TASK, "backbeat", ["j"])


# --- whole walks ---------------------------------------------------------------------------------------------------------------


def walk(node):
    """Run `node` to its end, every task adding 1 to the sum of its arguments; returns {id: (task, args)}."""
    effects, chains = begin(node)
    queue, joins, found, ran = list(effects), {}, {}, {}
    while queue:
        effect = queue.pop(0)
        match effect:
            case OpenChain(record_):
                chains[record_.chain_id] = record_
            case OpenJoin(record_, size):
                joins[record_.join_id] = (record_, size)
            case AddPart(join_id, index, id_, outcome):
                found.setdefault(join_id, {})[index] = Part(index, id_, outcome)
                record_, size = joins[join_id]
                if len(found[join_id]) == size:
                    queue += joined(record_, list(found[join_id].values()), chains)
            case Publish(message_):
                args = json.loads(message_.args)
                ran[message_.id] = (message_.task, args)
                queue += next_steps(message_, success(total(args) + 1), chains)
            case Settle():
                raise AssertionError(effect)
    return ran


def total(value):
    return sum(map(total, value)) if isinstance(value, list) else value


def test_nested_chords_run_each_node_once_with_the_right_arguments():
    inner = chain(group(call("a", 1), call("b", 2)), call("inner"))
    node = frozen(chain(group(inner, chain(call("c", 3), group(call("d"), call("e")))), call("body")))

    ran = walk(node)

    by_task = dict(ran.values())
    assert by_task["inner"] == [[2, 3]]
    assert by_task["d"] == [4]
    assert by_task["body"] == [[6, [5, 5]]]
    assert len(ran) == 7


def test_a_chord_whose_body_is_a_chord_and_a_group_after_a_group():
    body = chain(group(call("x"), call("y")), call("z"))
    node = frozen(chain(group(call("a", 1), call("b", 2)), body, group(call("p"), call("q")), call("end")))

    by_task = dict(walk(node).values())

    assert by_task["x"] == by_task["y"] == [[2, 3]]
    assert by_task["z"] == [[6, 6]]
    assert by_task["p"] == [13]
    assert by_task["end"] == [[14, 14]]
