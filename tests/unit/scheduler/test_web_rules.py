"""The rules of the dashboard's guard, each by itself: who is let in, what is meant for us, how often one may try."""

from __future__ import annotations

import pytest
from backbeat.canvas.redaction import HIDDEN
from backbeat.scheduler.errors import ScheduleError
from backbeat.scheduler.history.argument_text import Arguments
from backbeat.scheduler.history.task_run import TaskRun
from backbeat.scheduler.store.base import Lease
from backbeat.scheduler.web.admission import Admission
from backbeat.scheduler.web.origin import is_meant, is_own, safe_path
from backbeat.scheduler.web.pulse import Pulse
from backbeat.scheduler.web.run_line import line_of
from backbeat.scheduler.web.session import LIFE_SECONDS, Sessions
from backbeat.scheduler.web.throttle import IN_ALL, PER_PEER, SPAN_SECONDS, Throttle
from backbeat.scheduler.web.token import Token, role_for, tokens_of
from backbeat.scheduler.web.visitor import Means, Role, Visitor

LONG, OTHER = "a-token-of-24-characters", "another-token-of-some-length"
SOMEBODY = Visitor(name="ann", role=Role.OPERATOR, means=Means.SESSION)


# --- tokens ------------------------------------------------------------------------------------------------------------------


def test_a_bare_token_is_an_operators_and_a_named_one_has_its_role():
    tokens = tokens_of(f"# ours\n\n{LONG}\nviewer:{OTHER}\n", "f")

    assert tokens == (Token(Role.OPERATOR, LONG), Token(Role.VIEWER, OTHER))
    assert [role_for(tokens, text) for text in (LONG, OTHER, LONG[:-1], "", "\ud800")] == [
        Role.OPERATOR,
        Role.VIEWER,
        None,
        None,
        None,
    ]


def test_a_token_with_a_colon_of_its_own_is_taken_whole():
    assert tokens_of("abc:defghijklmnopqrst", "f")[0].text == "abc:defghijklmnopqrst"


@pytest.mark.parametrize(
    ("text", "said"), [("short", "f: line 1: "), ("\nviewer:short", "f: line 2: "), ("", "f: there is no")]
)
def test_a_short_token_and_a_file_without_any_are_refused(text, said):
    with pytest.raises(ScheduleError, match=said):
        tokens_of(text, "f")


def test_a_token_is_not_shown():
    assert LONG not in repr(Token(Role.OPERATOR, LONG))


# --- where it may be served --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.9", "::1", "localhost"])
def test_on_loopback_everybody_is_an_operator(host):
    assert Admission(host=host).checked().anybody().role is Role.OPERATOR


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.com", ""])
def test_elsewhere_a_login_is_needed(host):
    with pytest.raises(ScheduleError, match="--token-file"):
        Admission(host=host).checked()

    assert Admission(host=host, tokens=(Token(Role.VIEWER, LONG),)).checked().anybody() is None


def test_a_header_is_trusted_only_from_a_proxy_that_is_named():
    with pytest.raises(ScheduleError, match="--trust-proxy"):
        Admission(host="0.0.0.0", header="X-User").checked()
    with pytest.raises(ScheduleError, match="no address"):
        Admission(host="0.0.0.0", header="X-User", proxies=frozenset({"proxy"})).checked()

    known = Admission(
        host="0.0.0.0", header="X-User", proxies=frozenset({"10.0.0.7"}), operators=frozenset({"ann"})
    ).checked()

    assert known.by_request("10.0.0.8", {"x-user": "ann"}) is None
    assert known.by_request("10.0.0.7", {"x-user": " "}) is None
    assert known.by_request("10.0.0.7", {"x-user": "ann"}).role is Role.OPERATOR
    assert known.by_request("10.0.0.7", {"x-user": "ann@evil.example"}).role is Role.VIEWER
    assert known.anybody() is None


def test_read_only_makes_everybody_a_viewer():
    known = Admission(host="127.0.0.1", is_read_only=True)
    with_token = Admission(host="0.0.0.0", tokens=(Token(Role.OPERATOR, LONG),), is_read_only=True)

    assert known.anybody().role is Role.VIEWER
    assert with_token.by_token(LONG).role is Role.VIEWER
    assert with_token.by_request("", {"authorization": f"Bearer {LONG}"}).role is Role.VIEWER


# --- what is meant for us ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "meant"),
    [
        ("localhost:8787", True),
        ("127.0.0.1", True),
        ("[::1]:8787", True),
        ("192.168.1.5:8787", True),
        ("Board.Example:8787", True),
        ("board.example.", True),
        ("evil.example", False),
        ("board.example.evil.example", False),
        ("localhost.evil.example", False),
        ("", False),
        ("board.example/x", False),
        ("a@board.example", False),
        ("board.example:x", False),
        ("[::1", False),
    ],
)
def test_a_foreign_name_for_our_address_is_refused(header, meant):
    assert is_meant(header, {"board.example"}) is meant


@pytest.mark.parametrize(
    ("origin", "site", "own"),
    [
        (None, None, None),
        ("http://a:1", None, True),
        ("https://A:1", "same-origin", True),
        (None, "same-origin", True),
        ("http://a:2", None, False),
        ("http://a", None, False),
        ("null", None, False),
        ("file://a:1", None, False),
        ("http://a:1", "cross-site", False),
        ("http://a:1", "same-site", False),
        (None, "none", False),
    ],
)
def test_only_our_own_pages_send_forms(origin, site, own):
    assert is_own("a:1", origin, site) is own


@pytest.mark.parametrize(
    ("wanted", "path"),
    [
        ("/runs?a=1", "/runs?a=1"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example", "/"),
        ("", "/"),
        ("/a\r\nb: c", "/"),
        ("/\tevil", "/"),
    ],
)
def test_a_login_leads_to_a_page_of_ours(wanted, path):
    assert safe_path(wanted) == path


# --- sessions ----------------------------------------------------------------------------------------------------------------


def test_a_session_is_whose_it_was_until_it_is_over():
    sessions = Sessions(b"k" * 32)

    begun = sessions.begin(SOMEBODY, 100.0)

    assert sessions.visitor(begun.session, 100.0) == begun
    assert sessions.visitor(begun.session, 99.0 + LIFE_SECONDS) == begun
    assert sessions.visitor(begun.session, 100.0 + LIFE_SECONDS) is None


def test_a_session_that_was_ended_or_changed_or_signed_elsewhere_is_nobodys():
    sessions = Sessions(b"k" * 32)
    one, two = sessions.begin(SOMEBODY, 0.0), sessions.begin(SOMEBODY, 0.0)

    sessions.end(one.session, 1.0)

    assert sessions.visitor(one.session, 1.0) is None
    assert sessions.visitor(two.session, 1.0) == two
    assert Sessions(b"l" * 32).visitor(two.session, 1.0) is None
    for at in range(0, len(two.session) - 2, 7):
        other = "A" if two.session[at] != "A" else "B"
        assert sessions.visitor(two.session[:at] + other + two.session[at + 1 :], 1.0) is None
    assert [sessions.visitor(text, 1.0) for text in ("", "x", "\u00e4", "AAAA" * 50)] == [None] * 4


def test_a_csrf_token_belongs_to_one_session():
    sessions = Sessions(b"k" * 32)

    assert sessions.is_csrf("one", sessions.csrf("one"))
    assert not sessions.is_csrf("two", sessions.csrf("one"))
    assert not sessions.is_csrf("one", "")


# --- tries -------------------------------------------------------------------------------------------------------------------


def test_a_peer_that_fails_too_often_waits_and_others_do_not():
    throttle = Throttle()
    for second in range(PER_PEER):
        assert throttle.wait_seconds("a", float(second)) == 0.0
        throttle.failed("a", float(second))

    assert throttle.wait_seconds("a", 10.0) == SPAN_SECONDS - 10.0
    assert throttle.wait_seconds("b", 10.0) == 0.0
    assert throttle.wait_seconds("a", SPAN_SECONDS) == 0.0


def test_many_peers_together_wait_too():
    throttle = Throttle()
    for number in range(IN_ALL):
        throttle.failed(f"peer {number}", 5.0)

    assert throttle.wait_seconds("another", 6.0) == SPAN_SECONDS - 1.0
    assert throttle.wait_seconds("another", 5.0 + SPAN_SECONDS) == 0.0


# --- what is shown -----------------------------------------------------------------------------------------------------------


def test_the_pulse_of_a_lease_counts_from_its_last_change():
    pulse = Pulse()
    first, second = Lease("h", 1, 1, 1000), Lease("h", 1, 2, 1000)

    assert [pulse.age_seconds("a", first, at) for at in (10.0, 13.0)] == [0.0, 3.0]
    assert pulse.age_seconds("a", second, 14.0) == 0.0
    assert pulse.age_seconds("b", second, 20.0) == 0.0


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (Arguments.of_call([1, "b"], {"password": "canary", "n": 2}), f'1, "b", password="{HIDDEN}", n=2'),
        (Arguments.of_call([{"api_key": "canary"}], {}), f'{{"api_key": "{HIDDEN}"}}'),
        (Arguments("(1,)", "{'password': 'canary...}"), HIDDEN),
        (Arguments("(1, <Thing>)", "{}"), "(1, <Thing>) {}"),
    ],
)
def test_secrets_are_hidden_in_lists(arguments, text):
    line = line_of(TaskRun(id="a", at_us=1, arguments=arguments))

    assert line.arguments == text
    assert "canary" not in line.arguments
