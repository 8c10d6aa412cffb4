"""Stamps: how signatures get them, how they travel, and what they follow to."""

from __future__ import annotations

import json

import pytest
from backbeat.canvas import App, Signature, StampingVisitor, chain, chord, group, signature
from backbeat.canvas.errors import EncodeError, ImproperlyConfigured, MessageError
from backbeat.canvas.json_text import Json
from backbeat.canvas.message import Message
from backbeat.canvas.node import Call, Chain, Group
from backbeat.canvas.outcome import Success
from backbeat.canvas.results.document import document_of, from_text, to_text
from backbeat.canvas.stamp import common_stamps, last_stamps, overlaid, stamp_keys, stamped, with_stamps
from backbeat.canvas.stamping import merged, revoked_stamps
from backbeat.canvas.testing import in_memory
from backbeat.canvas.wire import Wire, from_wire, to_wire


class Shop:
    """An app whose tasks note with which stamps they ran."""

    def __init__(self):
        self.app = App("shop", set_as_current=False)
        self.ran = []
        app = self.app

        def note(task, name):
            self.ran.append((name, dict(task.request.stamps)))

        @app.task(name="step", bind=True)
        def step(self_, *_, name="step"):
            note(self_, name)
            return 1

        @app.task(name="broken", bind=True)
        def broken(self_, *_, name="broken"):
            note(self_, name)
            raise ValueError("no")

        @app.task(name="retried", bind=True)
        def retried(self_, *_):
            note(self_, f"try {self_.request.retries}")
            if not self_.request.retries:
                raise self_.retry(countdown=1)

        @app.task(name="replaced", bind=True)
        def replaced(self_, *_):
            raise self_.replace(chain(step.s(name="first"), step.s(name="last")))

        @app.task(name="sending", bind=True)
        def sending(self_, *_):
            chain(step.s(name="sent"), step.s(name="sent later")).apply()
            step.s(name="own").stamp(x="own", y="new").apply()

        self.step, self.broken, self.retried, self.replaced, self.sending = (
            step,
            broken,
            retried,
            replaced,
            sending,
        )

    def stamps(self):
        return dict(self.ran)


@pytest.fixture
def shop():
    return Shop()


class Everything(StampingVisitor):
    """Says at each hook its name."""

    def __init__(self):
        self.asked = []

    def _said(self, name, headers):
        self.asked.append((name, {key: value for key, value in headers.items() if key != "stamped_headers"}))
        return {name: True}

    def on_signature(self, sig, **headers):
        return self._said("on_signature", headers)

    def on_group_start(self, group, **headers):
        return self._said("on_group_start", headers)

    def on_group_end(self, group, **headers):
        self._said("on_group_end", headers)

    def on_chain_start(self, chain, **headers):
        return self._said("on_chain_start", headers)

    def on_chain_end(self, chain, **headers):
        self._said("on_chain_end", headers)

    def on_chord_body(self, sig, **headers):
        return self._said("on_chord_body", headers)

    def on_callback(self, callback, **headers):
        return self._said("on_callback", headers)

    def on_errback(self, errback, **headers):
        return self._said("on_errback", headers)


class Saying(StampingVisitor):
    """Says the same at each task's signature."""

    def __init__(self, said):
        self.said = said

    def on_signature(self, sig, **headers):
        return self.said


def names(sig):
    return set(sig.options.get("stamped_headers", ()))


# --- what stamp() does to a signature ---------------------------------------------------------------------------------------


def test_a_stamp_is_an_option_whose_name_is_listed(shop):
    sig = shop.step.s()

    assert sig.stamp(tenant="t1", n=[1, 2]) is sig
    assert sig.options == {"tenant": "t1", "n": [1, 2], "stamped_headers": ["tenant", "n"]}


def test_a_name_that_is_stamped_again_gets_the_new_value_or_both(shop):
    sig = shop.step.s().stamp(tenant="old", other=1)

    assert sig.clone().stamp(tenant="new").options["tenant"] == "new"
    assert sig.clone().stamp(append_stamps=True, tenant="new").options["tenant"] == ["new", "old"]
    assert sig.stamp(tenant="new").options["other"] == 1


def test_a_visitor_may_say_which_of_what_it_returns_are_stamps(shop):
    said = {"tenant": "t1", "trace": "abc", "priority": 5, "stamped_headers": ["tenant"]}

    sig = shop.step.s().set(headers={"kept": 1}).stamp(Saying(said))

    assert sig.options == {
        "tenant": "t1",
        "stamped_headers": ["tenant"],
        "priority": 5,
        "headers": {"kept": 1, "trace": "abc"},
    }


@pytest.mark.parametrize("said", [None, {}, {"stamped_headers": []}])
def test_a_visitor_need_not_say_anything(shop, said):
    assert shop.step.s().stamp(Saying(said)).options == {}


def test_a_visitor_that_returns_no_map_is_told(shop):
    with pytest.raises(TypeError, match=r"Saying\.on_signature must return a map or None, found 'tenant'"):
        shop.step.s().stamp(Saying("tenant"))


def test_on_signature_must_be_defined():
    with pytest.raises(TypeError, match="on_signature"):
        StampingVisitor()


@pytest.mark.parametrize("name", ["queue", "headers", "task_id"])
def test_a_stamp_cannot_be_called_like_an_option(shop, name):
    with pytest.raises(ImproperlyConfigured, match=f"a stamp cannot be called '{name}', as an option is"):
        shop.step.s().stamp(**{name: "x"})


def test_each_hook_is_asked_with_what_was_said_further_out(shop):
    visitor = Everything()
    sig = chain(shop.step.s(), group(shop.step.s()))

    sig.stamp(visitor, tenant="t1")

    outer = {"tenant": "t1"}
    inner = {**outer, "on_chain_start": True}
    member = {**inner, "on_group_start": True}
    assert visitor.asked == [
        ("on_chain_start", outer),
        ("on_signature", inner),
        ("on_group_start", inner),
        ("on_signature", member),
        ("on_group_end", member),
        ("on_chain_end", inner),
    ]
    first, last = sig.tasks
    assert names(first) == {"tenant", "on_chain_start", "on_signature"}
    assert names(last.tasks[0]) == {"tenant", "on_chain_start", "on_group_start", "on_signature"}


def test_what_holds_for_a_header_holds_for_the_body(shop):
    visitor = Everything()
    sig = chord([shop.step.s(), shop.step.s()], shop.step.s())

    sig.stamp(visitor)

    assert [name for name, _ in visitor.asked] == [
        "on_group_start",
        "on_signature",
        "on_signature",
        "on_group_end",
        "on_chord_body",
        "on_signature",
    ]
    assert all(names(member) == {"on_group_start", "on_signature"} for member in sig.tasks)
    assert names(sig.body) == {"on_group_start", "on_chord_body", "on_signature"}
    assert names(chord([shop.step.s()], shop.step.s()).stamp(tenant="t1").body) == {"tenant"}


def test_links_are_stamped_by_hooks_of_their_own_also_those_of_composites(shop):
    visitor = Everything()
    sig = shop.step.s()
    sig.link(shop.step.s())
    sig.link_error(dict(shop.step.s()))
    whole = group(sig).on_done(shop.step.s())

    whole.stamp(visitor, tenant="t1")

    (member,) = whole.tasks
    assert names(member.options["link"][0]) == {"tenant", "on_group_start", "on_callback", "on_signature"}
    assert names(member.options["link_error"][0]) == {
        "tenant",
        "on_group_start",
        "on_errback",
        "on_signature",
    }
    assert names(whole.options["on_done"][0]) == {"tenant", "on_group_start", "on_callback", "on_signature"}
    assert names(member) == {"tenant", "on_group_start", "on_signature"}


def test_what_is_said_further_out_holds(shop):
    sig = chain(shop.step.s()).stamp(Saying({"tenant": "inner"}), tenant="outer")

    assert sig.tasks[0].options["tenant"] == "outer"
    assert merged({"a": 1}, {"a": 2, "b": 3}, append=True) == {
        "a": [1, 2],
        "b": 3,
        "stamped_headers": ["a", "b"],
    }


def test_stamps_survive_json(shop):
    sig = chain(shop.step.s(), shop.step.s()).stamp(tenant="t1")

    again = signature(json.loads(json.dumps(sig)), app=shop.app)

    assert again == sig
    assert shop.app.prepare(again).steps[1].options["tenant"] == "t1"


def test_stamps_stay_as_they_are_when_a_signature_is_called_with_others(shop):
    sig = shop.step.s().stamp(tenant="t1").set(group_id="g")

    clone = sig.clone(tenant="t2", other="x", stamped_headers=["tenant", "other"], group_id="h", priority=3)

    assert clone.options == {
        "tenant": "t1",
        "other": "x",
        "stamped_headers": ["tenant", "other"],
        "group_id": "g",
        "priority": 3,
    }
    assert overlaid({"a": 1}, {"a": 2}) == {"a": 2}


def test_apply_async_takes_stamps_as_celery_does(shop):
    node = shop.app.prepare(shop.step.s(), options={"stamped_headers": ["tenant"], "tenant": "t1"})

    assert node.options["tenant"] == "t1"
    with pytest.raises(
        ImproperlyConfigured, match="stamped_headers names 'tenant', and there is no option of that name"
    ):
        shop.app.prepare(shop.step.s(), options={"stamped_headers": ["tenant"]})
    with pytest.raises(ImproperlyConfigured, match="stamped_headers must be a list"):
        shop.app.prepare(shop.step.s(), options={"stamped_headers": "tenant", "tenant": 1})
    with pytest.raises(EncodeError, match="'tenant': object cannot be written"):
        shop.app.prepare(shop.step.s().stamp(tenant=object()))
    with pytest.raises(TypeError, match="no option 'tenant'"):
        shop.app.prepare(shop.step.s(), options={"tenant": "t1"})


# --- what they follow to ----------------------------------------------------------------------------------------------------


def test_stamps_follow_to_steps_links_and_bodies(shop):
    first = shop.step.s(name="first").stamp(x=1)
    first.link(shop.step.s(name="link"))
    body = shop.step.s(name="body")

    chain(first, group(shop.step.s(name="a"), shop.step.s(name="b").stamp(x=2, y=3)), body).apply()

    assert shop.stamps() == {
        "first": {"x": 1},
        "link": {"x": 1},
        "a": {"x": 1},
        "b": {"x": 2, "y": 3},
        "body": {"x": 1},
    }


def test_a_body_has_what_all_members_have(shop):
    members = [shop.step.s(name=name).stamp(all="x", one=name) for name in "ab"]

    chord(members, shop.step.s(name="body")).apply()

    assert shop.stamps()["body"] == {"all": "x"}


def test_stamps_follow_to_error_callbacks_and_hooks(shop):
    sig = shop.broken.s().stamp(x=1)
    sig.link_error(shop.step.si(name="errback"))

    sig.on_failure(shop.step.si(name="hook")).apply(throw=False)
    chord([shop.broken.s().stamp(x=2)], shop.step.s().on_error(shop.step.si(name="of body"))).apply(
        throw=False
    )

    assert shop.stamps() == {"broken": {"x": 2}, "errback": {"x": 1}, "hook": {"x": 1}, "of body": {"x": 2}}


def test_stamps_survive_a_retry_and_a_replacement(shop):
    shop.retried.s().stamp(x=1).apply()
    shop.replaced.s().stamp(x=2).apply()

    assert shop.stamps() == {"try 0": {"x": 1}, "try 1": {"x": 1}, "first": {"x": 2}, "last": {"x": 2}}


def test_what_a_stamped_task_sends_has_its_stamps_but_for_those_that_it_has_itself(shop):
    shop.sending.s().stamp(x="sender").apply()

    assert shop.stamps() == {
        "sent": {"x": "sender"},
        "sent later": {"x": "sender"},
        "own": {"x": "own", "y": "new"},
    }


def test_a_request_without_stamps_has_none(shop):
    seen = []

    @shop.app.task(name="look", bind=True)
    def look(self):
        seen.append((self.request.stamped_headers, dict(self.request.stamps)))

    look.s().apply()
    look.s().stamp(x=1, y="b").apply()

    assert seen == [(None, {}), (["x", "y"], {"x": 1, "y": "b"})]


def test_common_stamps_are_those_of_what_ends_last():
    one, two = (Call(task="t", options=with_stamps({}, stamps)) for stamps in ({"x": 1, "y": 2}, {"x": 1}))
    plain = Call(task="t")

    assert last_stamps(Chain(steps=(two, plain))) == {"x": 1}
    assert common_stamps(Group(members=(one, Chain(steps=(two, plain))))) == {"x": 1}
    assert common_stamps(Group(members=(one, plain))) == {}
    assert common_stamps(Group(members=())) == {}
    assert stamped(plain, {}) is plain


# --- how they travel --------------------------------------------------------------------------------------------------------


def test_a_message_has_them_in_the_headers_that_celery_reads():
    message = Message(id="i", task="t", stamps={"x": "a", "y": [1]})

    wire = to_wire(message)

    assert wire.headers["stamped_headers"] == ["x", "y"]
    assert wire.headers["stamps"] == {"x": "a", "y": [1]}
    assert from_wire(wire, "celery").stamps == message.stamps
    bare = to_wire(Message(id="i", task="t")).headers
    assert (bare["stamped_headers"], bare["stamps"]) == (None, {})


@pytest.mark.parametrize(
    ("headers", "stamps"),
    [
        ({"stamped_headers": ["x"], "stamps": {"x": 1, "y": 2}}, {"x": 1}),
        ({"stamped_headers": ["x", "y"], "stamps": {"x": 1}}, {"x": 1}),
        ({"stamped_headers": [], "stamps": {"x": 1}}, {}),
        ({"stamped_headers": None, "stamps": None}, {}),
    ],
)
def test_stamps_of_strangers_are_those_that_are_named_and_there(headers, stamps):
    wire = to_wire(Message(id="i", task="t"))

    assert from_wire(Wire({**wire.headers, **headers}, wire.properties, wire.body), "celery").stamps == stamps


@pytest.mark.parametrize(
    "headers", [{"stamped_headers": 7, "stamps": {"x": 1}}, {"stamped_headers": ["x"], "stamps": [1]}]
)
def test_what_is_no_stamp_is_refused(headers):
    wire = to_wire(Message(id="i", task="t"))

    with pytest.raises(MessageError, match="stamped_headers is a list and stamps a map"):
        from_wire(Wire({**wire.headers, **headers}, wire.properties, wire.body), "celery")


def test_what_a_celery_worker_would_send_on_is_stamped_in_the_message(shop):
    sig = shop.step.s().stamp(x=1)
    sig.link(shop.step.s())
    node = shop.app.prepare(chain(sig, shop.step.s()))
    from backbeat.canvas import flow
    from backbeat.canvas.effect import Publish

    (message,) = [effect.message for effect in flow.start(node, "root") if isinstance(effect, Publish)]
    _, _, embed = json.loads(to_wire(message).body)

    for each in (*embed["callbacks"], *embed["chain"], *embed["errbacks"]):
        assert each["options"]["stamped_headers"] == ["x"]
        assert each["options"]["x"] == 1


def test_results_have_them_as_celery_writes_them():
    message = Message(id="i", task="t", stamps={"tenant": "t1", "status": "hidden"})

    text = to_text(document_of("i", Success(value=Json("1")), now_us=0, message=message))

    data = json.loads(text)
    assert data["stamped_headers"] == ["tenant", "status"]
    assert data["tenant"] == "t1"
    assert data["status"] == "SUCCESS"
    assert from_text(text).stamps == {"tenant": "t1"}
    plain = document_of("i", Success(value=Json("1")), now_us=0, message=message, extended=False)
    assert "stamped_headers" not in json.loads(to_text(plain))


# --- revoking ---------------------------------------------------------------------------------------------------------------


def test_stamps_are_revoked_by_a_map_or_by_texts():
    of_map = revoked_stamps({"x": ["1", "2"], "y": "3"})

    assert of_map == revoked_stamps(["x=1", "x=2", "y=3"])
    assert of_map == [*stamp_keys({"x": "1"}), *stamp_keys({"x": "2"}), *stamp_keys({"y": "3"})]
    assert revoked_stamps("x=a=b") == list(stamp_keys({"x": "a=b"}))
    assert set(revoked_stamps({"x": {"1", "2"}})) == set(revoked_stamps({"x": ["1", "2"]}))


@pytest.mark.parametrize("headers", [["x"], [7], {}, [], {"x": []}])
def test_what_names_no_stamp_is_refused(headers):
    with pytest.raises(ImproperlyConfigured, match="stamp"):
        revoked_stamps(headers)


def test_a_message_is_revocable_by_its_stamps():
    message = Message(id="i", task="t", root_id="r", stamps={"x": "1"})

    assert message.revocable_by == ("i", "r", *stamp_keys({"x": "1"}))


def test_an_eager_handle_revokes_nothing(shop):
    with pytest.raises(ImproperlyConfigured, match=r"use app\.revoke_by_stamped_headers"):
        shop.step.s().apply().revoke_by_stamped_headers({"x": 1})


def test_a_type_of_signatures_of_its_own_is_stamped_too(shop):
    class mine(Signature):  # noqa: N801 - as users name them
        subtask_type = "mine"

    assert mine(shop.step).stamp(x=1).options["x"] == 1


def test_what_waits_with_a_revoked_stamp_ends_as_revoked_and_its_canvas_fails(shop):
    with in_memory(shop.app) as world:
        stopped = chain(shop.step.s(), shop.step.s(name="later")).stamp(tenant="t1").delay()
        other = shop.step.s().stamp(tenant="t2").delay()
        stopped.revoke_by_stamped_headers({"tenant": "t1"})
        world.drain()

        assert (stopped.parent.state, stopped.state, other.state) == ("REVOKED", "FAILURE", "SUCCESS")
    assert [stamps["tenant"] for _, stamps in shop.ran] == ["t2"]
