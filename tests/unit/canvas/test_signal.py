"""Signals: who is connected, who is called, and what a receiver that raises does: nothing."""

from __future__ import annotations

import gc
import logging

import pytest
from backbeat.canvas import App, signals
from backbeat.canvas.errors import EncodeError, Ignore
from backbeat.canvas.signal import Signal

from support.eager import Fleet


@pytest.fixture
def signal():
    return Signal("rang", frozenset({"x"}))


@pytest.fixture
def heard():
    """Connects receivers to signals of the real module, and takes them back; what they were told: (signal's name, sender, the rest)."""
    told, connected = [], []

    def hear(*names, sender=None):
        for name in names:
            signal = getattr(signals, name)

            def receiver(signal, sender, **known):
                told.append((signal.name, sender, known))

            signal.connect(receiver, sender=sender, weak=False)
            connected.append((signal, receiver, sender))
        return told

    yield hear
    for signal, receiver, sender in connected:
        assert signal.disconnect(receiver, sender=sender)


# --- connecting ----------------------------------------------------------------------------------------------------------------


def test_every_way_to_connect(signal):
    def plain(**known):
        return "plain"

    @signal.connect
    def decorated(**known):
        return "decorated"

    @signal.connect()
    def called(**known):
        return "called"

    @signal.connect(sender="a")
    def of_a(sender, x, signal, **known):
        return sender, x, signal.name

    assert signal.connect(plain) is plain
    assert [answer for _, answer in signal.send("a", x=1)] == [
        "decorated",
        "called",
        ("a", 1, "rang"),
        "plain",
    ]
    assert [receiver for receiver, _ in signal.send("b", x=1)] == [decorated, called, plain]
    assert (signal.has_listeners("b"), Signal("other").has_listeners()) == (True, False)


def test_a_receiver_is_connected_once_for_each_sender_or_uid(signal):
    def receiver(**known):
        return "told"

    for _ in range(2):
        signal.connect(receiver)
        signal.connect(receiver, sender="a")
        signal.connect(receiver, dispatch_uid="mine")
    signal.connect(lambda **known: "another", dispatch_uid="mine", weak=False)

    assert [answer for _, answer in signal.send("b")] == ["told", "another"]
    assert signal.disconnect(receiver)
    assert not signal.disconnect(receiver)
    assert signal.disconnect(dispatch_uid="mine")
    assert signal.send("b") == []
    assert signal.send("a") == [(receiver, "told")]


def test_senders_are_told_apart_as_objects_and_names_as_texts(signal):
    first, second = [], []
    signal.connect(lambda **known: 1, sender=first, weak=False)
    signal.connect(lambda **known: 2, sender="ab", weak=False)

    assert [answer for _, answer in signal.send(first)] == [1]
    assert signal.send(second) == []
    assert [answer for _, answer in signal.send(str(b"ab", "ascii"))] == [2]


def test_a_receiver_that_nobody_else_has_is_forgotten_unless_it_is_to_be_kept(signal):
    class Holder:
        def method(self, **known):
            return "method"

    holder = Holder()
    signal.connect(holder.method)
    signal.connect(lambda **known: "weak")
    signal.connect(lambda **known: "kept", weak=False)
    gc.collect()
    assert [answer for _, answer in signal.send(None)] == ["method", "kept"]

    del holder
    gc.collect()

    assert [answer for _, answer in signal.send(None)] == ["kept"]
    assert len(signal.receivers) == 1


def test_what_a_receiver_raises_is_logged_and_the_others_are_called(signal, caplog):
    error = ValueError("no")
    tries = []

    @signal.connect
    def breaks(**known):
        raise error

    @signal.connect(retry=True)
    def flaky(**known):
        tries.append(1)
        if len(tries) < 3:
            raise error
        return "at last"

    with caplog.at_level(logging.ERROR):
        answers = signal.send(None)

    assert answers == [(breaks, error), (flaky, "at last")]
    assert [record.action for record in caplog.records] == ["receiver_failed"]
    assert "signal rang: receiver" in caplog.text
    with pytest.raises(TypeError, match="signal rang: a receiver is a function, found 5"):
        signal.connect(5)


def test_who_connects_to_what_never_comes_is_told_so_once(caplog):
    signal = Signal("silent", never="there is nobody to send it")

    with caplog.at_level(logging.WARNING):
        signal.connect(print)
        signal.connect(repr)

    assert caplog.messages == ["signal silent is never sent: there is nobody to send it"]


def test_all_names_of_celery_s_are_there():
    celerys = set(
        "before_task_publish after_task_publish task_internal_error task_prerun task_postrun task_success task_received task_rejected "
        "task_unknown task_retry task_failure task_revoked celeryd_init celeryd_after_setup worker_init worker_before_create_process "
        "worker_process_init worker_process_shutdown worker_ready worker_shutdown worker_shutting_down setup_logging after_setup_logger "
        "after_setup_task_logger beat_init beat_embedded_init heartbeat_sent eventlet_pool_started eventlet_pool_preshutdown "
        "eventlet_pool_postshutdown eventlet_pool_apply import_modules task_sent user_preload_options".split()
    )
    assert set(signals.__all__) == celerys
    for name in celerys:
        assert getattr(signals, name).name == name


# --- where they come -----------------------------------------------------------------------------------------------------------


def test_a_run_is_told_from_before_it_starts_until_after_it_ended(heard):
    fleet = Fleet()

    @fleet.app.task(bind=True, name="t")
    def t(self, how):
        if how == "retry":
            raise self.retry(countdown=1)
        if how == "ignore":
            raise Ignore
        return {"ok": "value"}[how]

    told = heard("task_prerun", "task_postrun", "task_success", "task_failure", "task_retry")
    ids = [t.delay(how).id for how in ("ok", "fail", "retry", "ignore")]
    fleet.drain()

    assert {sender for _, sender, _ in told} == {t}
    assert [name.removeprefix("task_") for name, *_ in told] == (
        [
            "prerun",
            "success",
            "postrun",
            "prerun",
            "failure",
            "postrun",
            "prerun",
            "retry",
            "postrun",
            "prerun",
            "postrun",
        ]
    )
    before, success, after, _, failure, failed, _, retry, retried, _, ignored = [known for *_, known in told]
    assert before == {"task_id": ids[0], "task": t, "args": ["ok"], "kwargs": {}}
    assert (success["result"], success["runtime"] >= 0) == ("value", True)
    assert after == {**before, "retval": "value", "state": "SUCCESS"}
    assert (failure["task_id"], repr(failure["exception"]), failure["args"]) == (
        ids[1],
        "KeyError('fail')",
        ["fail"],
    )
    assert failure["einfo"].exception is failure["exception"]
    assert (failed["state"], retried["state"], ignored["state"]) == ("FAILURE", "RETRY", "IGNORED")
    assert (retry["request"].id, type(retry["reason"]).__name__) == (ids[2], "Retry")


def test_what_is_sent_is_told_before_and_after_and_gets_the_headers_that_receivers_add(heard):
    fleet = Fleet()
    seen = []

    @fleet.app.task(bind=True, name="t")
    def t(self, x):
        seen.append((self.request.headers, self.request.trace))

    @signals.before_task_publish.connect(sender="t")
    def trace(headers, **known):
        headers["trace"] = f"of {headers['id']}"
        headers["retries"] = 5  # a message's own cannot be changed

    told = heard("before_task_publish", "after_task_publish")
    handle = t.apply_async((1,), headers={"mine": 1}, queue="slow")
    fleet.app.send_task("unknown", queue="slow")
    fleet.drain("slow")

    assert [(name, sender) for name, sender, _ in told] == [
        ("before_task_publish", "t"),
        ("after_task_publish", "t"),
        ("before_task_publish", "unknown"),
        ("after_task_publish", "unknown"),
    ]
    *_, known = told[1]
    assert (known["routing_key"], known["exchange"], known["body"][:2]) == ("slow", "", ([1], {}))
    assert (known["headers"]["id"], known["headers"]["trace"]) == (handle.id, f"of {handle.id}")
    assert seen == [({"mine": 1, "trace": f"of {handle.id}"}, f"of {handle.id}")]
    assert handle.successful()


def test_a_header_that_no_message_could_carry_is_an_error_of_the_call():
    fleet = Fleet()

    @signals.before_task_publish.connect
    def wrong(headers, **known):
        headers["bad"] = object()

    with pytest.raises(EncodeError, match="headers cannot be written: 'bad'"):
        fleet.app.send_task("t")
    del wrong


def test_the_import_of_an_app_s_modules_is_told(heard):
    app = App("proj", broker="memory://", set_as_current=False)
    told = heard("import_modules", sender=app)

    app.import_modules()

    assert [(name, sender) for name, sender, _ in told] == [("import_modules", app)]
