"""Webhooks: how they are signed, where they may go, what they say, how long they are tried."""

from __future__ import annotations

import json

import pytest
from backbeat.canvas import App, chain, chord, group
from backbeat.canvas.codec import dumps
from backbeat.canvas.errors import ImproperlyConfigured
from backbeat.canvas.node import Call, Chain, Tap
from backbeat.canvas.node_data import node_from_data
from backbeat.canvas.webhook import SignatureMismatch, verify
from backbeat.canvas.webhook.allowed import Allowed, read_allowed
from backbeat.canvas.webhook.pause import LONGEST_PAUSE_SECONDS, PING_TRIES, TRIES, pause_seconds
from backbeat.canvas.webhook.payload import MOST_BYTES, done_payload, event_payload
from backbeat.canvas.webhook.policy import Policy
from backbeat.canvas.webhook.post import Refused, Undelivered, ping, post
from backbeat.canvas.webhook.signed import signed_headers
from backbeat.canvas.webhook.url import read_url

SECRET = "a secret of webhooks"
BODY = b'{"event": "done"}'
NOW = 1_800_000_000.0


# --- signed -------------------------------------------------------------------------------------------------------------------


def test_what_is_signed_is_verified():
    headers = signed_headers(SECRET, "id-1", BODY, NOW)

    assert verify(BODY, headers, SECRET, now=NOW + 299) == {"event": "done"}


def test_the_signature_is_that_of_the_specification_of_standard_webhooks():
    """Its own example, with its own secret."""
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    body = b'{"test": 2432232314}'

    headers = signed_headers(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", body, 1_614_265_330)

    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_names_of_headers_are_found_in_any_case_and_one_of_several_secrets_is_enough():
    headers = {name.title(): value for name, value in signed_headers(SECRET, "i", BODY, NOW).items()}

    assert verify(BODY, headers, ["another secret, newer", SECRET], now=NOW) == {"event": "done"}


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"webhook-id": "id-2"}, "no signature fits"),
        ({"webhook-timestamp": str(int(NOW) + 1)}, "no signature fits"),
        ({"webhook-timestamp": "soon"}, "no number of seconds"),
        ({"webhook-timestamp": str(int(NOW) - 301)}, "more than 300 s before"),
        ({"webhook-signature": "v1,AAAA"}, "no signature fits"),
        ({"webhook-signature": "v2,AAAA v1a,x"}, "no signature fits"),
        ({"webhook-signature": "v1,\u00e4"}, "no signature fits"),
    ],
)
def test_what_was_changed_is_not_believed(changed, why):
    headers = {**signed_headers(SECRET, "id-1", BODY, NOW), **changed}

    with pytest.raises(SignatureMismatch, match=why):
        verify(BODY, headers, SECRET, now=NOW)


def test_another_body_another_secret_and_a_missing_header_are_not_believed():
    headers = signed_headers(SECRET, "id-1", BODY, NOW)

    with pytest.raises(SignatureMismatch):
        verify(BODY + b" ", headers, SECRET, now=NOW)
    with pytest.raises(SignatureMismatch):
        verify(BODY, headers, "another secret of webhooks", now=NOW)
    with pytest.raises(SignatureMismatch, match="webhook-id is missing"):
        verify(BODY, {}, SECRET, now=NOW)


def test_a_webhook_that_was_recorded_cannot_be_played_again_after_five_minutes():
    headers = signed_headers(SECRET, "id-1", BODY, NOW)

    with pytest.raises(SignatureMismatch, match="more than 300 s"):
        verify(BODY, headers, SECRET, now=NOW + 301)


@pytest.mark.parametrize("secret", ["", "short", None, 7, "whsec_not base64!!!"])
def test_a_secret_that_is_none_is_refused_without_being_shown(secret):
    with pytest.raises(ImproperlyConfigured) as refused:
        signed_headers(secret, "i", BODY, NOW)

    assert not secret or str(secret) not in str(refused.value)


# --- where they may go --------------------------------------------------------------------------------------------------------

PUBLIC = ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946", "::ffff:93.184.216.34", "64:ff9b::5db8:d822"]
PRIVATE = ["127.0.0.1", "127.8.9.1", "::1", "10.0.0.1", "172.16.3.4", "192.168.1.1", "fc00::1", "fd12::1"]
PRIVATE_WRAPPED = ["::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "::127.0.0.1"]
SPECIAL = [
    "169.254.169.254",
    "::ffff:169.254.169.254",
    "fe80::1",
    "fe80::1%eth0",
    "0.0.0.0",
    "::",
    "224.0.0.1",
    "239.255.255.250",
    "ff02::1",
    "ff0e::1",
    "240.0.0.1",
    "255.255.255.255",
]
NOT_PUBLIC = [*PRIVATE, *PRIVATE_WRAPPED, *SPECIAL, "100.64.0.1", "192.0.2.1", "2001:db8::1", "198.18.0.1"]


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_may_be_reached_by_https_alone(address):
    assert Allowed().objection("hooks.example.org", "https", address) is None
    assert "http" in (Allowed().objection("hooks.example.org", "http", address) or "")


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_no_other_address_may_be_reached(address):
    objection = Allowed().objection("hooks.example.org", "https", address)

    assert objection == f"hooks.example.org leads to {address}, which is no public address"


@pytest.mark.parametrize("address", [*PRIVATE, *PRIVATE_WRAPPED])
def test_a_name_that_is_listed_may_lead_to_a_private_address(address):
    allowed = read_allowed(["hooks.internal", "*.corp.example"])

    assert allowed.objection("hooks.internal", "http", address) is None
    assert allowed.objection("a.b.corp.example", "https", address) is None
    assert allowed.objection("corp.example", "https", address) is not None
    assert allowed.objection("evilcorp.example", "https", address) is not None
    assert allowed.objection("hooks.internal.evil", "https", address) is not None


@pytest.mark.parametrize("address", [*SPECIAL, "100.64.0.1"])
def test_a_name_that_is_listed_opens_neither_metadata_nor_anything_else_that_is_special(address):
    assert read_allowed(["hooks.internal"]).objection("hooks.internal", "https", address) is not None


def test_a_network_that_is_listed_may_be_reached_by_any_name():
    allowed = read_allowed(["10.1.0.0/16", "fd00::/8", "169.254.1.1"])

    assert allowed.objection("anything", "http", "10.1.2.3") is None
    assert allowed.objection("anything", "http", "::ffff:10.1.2.3") is None
    assert allowed.objection("anything", "http", "fd00::5") is None
    assert allowed.objection("anything", "http", "169.254.1.1") is None
    assert allowed.objection("anything", "http", "10.2.2.3") is not None


@pytest.mark.parametrize(
    "entry", ["", "*.", "https://x", "10.0.0.0/33", "10.0.0.1/8", "a b", "1.2.3", "*", "x/y"]
)
def test_an_entry_that_is_no_host_and_no_network_is_refused(entry):
    with pytest.raises(ImproperlyConfigured, match="webhook_allowed_hosts"):
        read_allowed([entry])


# --- addresses ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("https://h.example", ("https", "h.example", 443, "/")),
        ("http://H.Example:8080/a/b?x=1#part", ("http", "h.example", 8080, "/a/b?x=1")),
        ("https://[::1]:444/x", ("https", "::1", 444, "/x")),
        ("https://h?x=1", ("https", "h", 443, "/?x=1")),
        ("https://2130706433/", ("https", "2130706433", 443, "/")),
    ],
)
def test_a_url_is_read_in_its_parts(text, parts):
    url = read_url(text)

    assert (url.scheme, url.host, url.port, url.target) == parts


@pytest.mark.parametrize(
    "text",
    [
        "",
        "h.example",
        "ftp://h/",
        "file:///etc/passwd",
        "gopher://h",
        "https://user:hunter2@h/",
        "https://h:0/",
        "https://h:99999/",
        "https:///x",
        "https://h/a b",
        "https://h/\r\nX: 1",
        "https://h\\@127.0.0.1/",
        "https://h%2f/",
        "https://\u00e4.example/",
        "https://h/" + "a" * 2_000,
        None,
        7,
    ],
)
def test_what_is_no_url_of_a_webhook_is_refused_without_being_shown(text):
    with pytest.raises(ImproperlyConfigured) as refused:
        read_url(text)

    assert "hunter2" not in str(refused.value)


def asked(url, addresses, **policy):
    names = []

    def resolve(host, port):
        names.append((host, port))
        return addresses

    answer = post("id", url, "{}", Policy(SECRET, timeout_seconds=0.5, **policy), resolve)
    return answer, names


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_nothing_is_sent_where_the_name_leads_to_no_public_address(address):
    answer, names = asked("https://hooks.example.org/x", [address])

    assert isinstance(answer, Refused)
    assert "no public address: list it in webhook_allowed_hosts" in answer.reason
    assert names == [("hooks.example.org", 443)]


def test_a_name_that_leads_nowhere_is_tried_again_later():
    def resolve(host, port):
        raise OSError("no such name")

    answer = post("id", "https://h.example/", "{}", Policy(SECRET), resolve)

    assert answer == Undelivered("https://h.example: the name cannot be resolved")


def test_nothing_is_sent_that_cannot_be_signed_but_pings_are_not_signed():
    never = lambda host, port: pytest.fail("it was looked up")  # noqa: E731

    answer = post("id", "https://h.example/", "{}", Policy(), never)

    assert isinstance(answer, Refused)
    assert "webhook_secret is not set" in answer.reason
    assert "no public address" in ping("https://h.example/", Policy(), lambda *_: ["10.0.0.1"]).reason


# --- what they say, and how often ---------------------------------------------------------------------------------------------


def test_secrets_in_a_result_are_hidden_by_their_keys():
    report = {
        "id": "i",
        "state": "SUCCESS",
        "result": {"user": 1, "tokens": [{"access_token": "x", "n": None}]},
    }

    told = json.loads(done_payload("d", report, "2026-12-01T00:00:00Z"))

    assert told["result"] == {"user": 1, "tokens": "********"}
    assert (told["delivery"], told["event"], told["at"]) == ("d", "done", "2026-12-01T00:00:00Z")


def test_a_result_that_is_too_long_is_left_out():
    told = done_payload(
        "d", {"id": "i", "state": "SUCCESS", "result": "x" * MOST_BYTES, "members": None}, "t"
    )

    assert len(told) < 1_000
    assert json.loads(told)["left_out"] == ["result", "members"]
    assert json.loads(told)["result"] is None


def test_what_json_has_no_form_for_is_readable():
    assert json.loads(done_payload("d", {"result": {1}}, "t"))["result"] == [1]
    assert json.loads(event_payload("d", "late", "t", {"x": complex(1)}))["x"] == "(1+0j)"


@pytest.mark.parametrize("chance", [0.0, 0.5, 1.0])
def test_a_delivery_is_tried_for_a_day_with_growing_pauses(chance):
    pauses = [pause_seconds(tries, chance) for tries in range(1, TRIES)]

    assert pause_seconds(TRIES, chance) is None
    assert [pause / (0.75 + 0.5 * chance) for pause in pauses[:3]] == [2, 4, 8]
    assert pauses == sorted(pauses)
    assert max(pauses) <= LONGEST_PAUSE_SECONDS * 1.25
    if chance == 0.5:
        assert 86_000 <= sum(pauses) <= 87_000


def test_a_ping_is_tried_for_minutes():
    assert 300 < sum(pause_seconds(tries, 0.5, PING_TRIES) for tries in range(1, PING_TRIES)) < 600
    assert pause_seconds(PING_TRIES, 0.5, PING_TRIES) is None


# --- on_done_url and ping as options -----------------------------------------------------------------------------------------

HOOK = "https://h.example/x"


@pytest.fixture
def app():
    app = App("a", broker="memory://", set_as_current=False)
    app.task(name="add")(lambda x, y: x + y)
    return app


def canvases(app):
    add = app.signature("add", (1, 1))
    return [
        add,
        chain(add.clone(), add.clone()),
        group(add.clone(), add.clone()),
        chord([add.clone()], add.clone()),
    ]


@pytest.mark.parametrize("place", ["call", "signature", "json"])
@pytest.mark.parametrize("kind", range(4), ids=["task", "chain", "group", "chord"])
def test_each_kind_of_canvas_ends_with_one_tap_that_tells(app, kind, place):
    sig = canvases(app)[kind]
    if place == "call":
        node = app.prepare(sig, options={"on_done_url": HOOK})
    elif place == "signature":
        node = app.prepare(sig.set(on_done_url=HOOK))
    else:
        data = json.loads(json.dumps({**sig, "options": {**sig.options, "on_done_url": HOOK}}))
        node = node_from_data(data, dumps)

    assert isinstance(node, Chain)
    taps = [step for step in node.steps if isinstance(step, Tap)]
    assert node.steps[-1] is taps[0]
    (tap,) = taps
    assert tap.of == sig.task
    (call,) = tap.hooks["on_done"]
    assert isinstance(call, Call)
    assert (call.task, json.loads(call.kwargs), call.options["queue"]) == (
        "backbeat.webhook",
        {"url": HOOK},
        "backbeat",
    )


def test_a_ping_and_callbacks_of_ones_own_are_told_too(app):
    sig = app.signature("add", (1, 1), on_done_url=HOOK, ping={"done": HOOK}).on_done(app.signature("add"))

    (*_, tap) = app.prepare(sig).steps

    assert [call.task for call in tap.hooks["on_done"]] == ["add", "backbeat.webhook", "backbeat.ping"]


@pytest.mark.parametrize(
    "options",
    [
        {"on_done_url": "ftp://h.example"},
        {"on_done_url": 7},
        {"ping": HOOK},
        {"ping": {}},
        {"ping": {"start": HOOK}},
        {"ping": {"done": "h.example"}},
    ],
)
def test_what_cannot_be_meant_is_refused_where_it_is_said(app, options):
    with pytest.raises(ImproperlyConfigured, match=r"URL of a webhook|ping must be"):
        app.prepare(app.signature("add", (1, 1)), options=options)
    with pytest.raises(ImproperlyConfigured, match=r"URL of a webhook|ping must be"):
        app.prepare(app.signature("add", (1, 1), **options))


@pytest.mark.parametrize(
    "options", [{"on_done_url": 7}, {"ping": "x"}, {"ping": {"stop": HOOK}}, {"ping": {"done": 7}}]
)
def test_what_a_strangers_message_says_wrong_is_no_signature(options):
    with pytest.raises(TypeError):
        node_from_data({"task": "add", "args": [], "kwargs": {}, "options": options}, dumps)


@pytest.mark.parametrize("name", ["backbeat.webhook", "backbeat.ping"])
def test_the_tasks_that_deliver_are_acknowledged_late_and_may_be_retried_as_often_as_they_ask(name):
    app = App("a", broker="memory://", set_as_current=False, task_acks_late=False)
    task = app.tasks[name]

    assert (task.options.acks_late, task.retrying.max_retries) == (True, None)
    assert name not in list(app.tasks)  # as other tasks of our own
