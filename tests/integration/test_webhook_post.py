"""A webhook on its way: what is connected to, for how long, and what of the answer counts."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import closing, suppress

import pytest
from backbeat.canvas.webhook import verify
from backbeat.canvas.webhook.allowed import read_allowed
from backbeat.canvas.webhook.policy import Policy
from backbeat.canvas.webhook.post import Delivered, Refused, Undelivered, _context, ping, post

from support.certificates import make_certificates
from support.processes import free_port
from support.receiver import Receiver

SECRET = "a secret of webhooks"
OPEN = Policy(SECRET, read_allowed(["127.0.0.0/8", "::1"]), timeout_seconds=20.0)
"""This machine may be reached, as the tests' receivers are here."""
HASTY = Policy(SECRET, read_allowed(["127.0.0.0/8"]), timeout_seconds=0.5)


@pytest.fixture
def receiver():
    with closing(Receiver()) as opened:
        yield opened


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return make_certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def trusting(certificates, monkeypatch):
    """The machine trusts the tests' authority."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates / "ca.pem"))
    _context.cache_clear()
    yield
    _context.cache_clear()


def to(address):
    """A resolver for which every name leads there."""
    return lambda host, port: [address]


def test_a_payload_arrives_with_headers_that_verify_it(receiver):
    answer = post("delivery-1", receiver.url("/hook?x=1"), '{"event": "done"}', OPEN)

    (one,) = receiver.received
    assert answer == Delivered(200)
    assert (one.method, one.path, one.headers["content-type"]) == ("POST", "/hook?x=1", "application/json")
    assert one.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert one.headers["webhook-id"] == "delivery-1"
    assert verify(one.body, one.headers, SECRET) == {"event": "done"}


def test_a_ping_is_a_get_that_says_nothing(receiver):
    assert ping(receiver.url("/ping"), OPEN) == Delivered(200)

    (one,) = receiver.received
    assert (one.method, one.path, one.body) == ("GET", "/ping", b"")
    assert not [name for name in one.headers if name.startswith("webhook")]


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "localhost", "[::1]", "[::ffff:7f00:1]"],
)
def test_this_machine_is_refused_in_every_form_of_its_address(receiver, host):
    answer = post("id", receiver.url(host=host).replace("http://", "https://"), "{}", Policy(SECRET))

    assert isinstance(answer, Refused), answer
    assert receiver.received == []


def test_plain_http_is_refused_unless_the_host_is_listed(receiver):
    answer = post("id", "http://h.example/", "{}", Policy(SECRET), to("93.184.216.34"))

    assert isinstance(answer, Refused)
    assert "by http" in answer.reason


def test_the_address_that_was_looked_at_is_the_one_that_is_connected_to(receiver):
    """DNS rebinding: the name leads to a private address from the second look-up on."""
    answers = iter([["127.0.0.2"], ["127.0.0.1"], ["127.0.0.1"]])
    policy = Policy(SECRET, read_allowed(["127.0.0.2"]), timeout_seconds=2.0)

    answer = post("id", f"http://rebinding.example:{receiver.port}/", "{}", policy, lambda *_: next(answers))

    assert isinstance(answer, Undelivered)  # nobody listens on 127.0.0.2
    assert receiver.received == []
    assert next(answers) == ["127.0.0.1"]  # it was asked once


def test_of_several_addresses_only_those_are_tried_that_are_allowed(receiver):
    policy = Policy(SECRET, read_allowed(["127.0.0.3", "127.0.0.1"]), timeout_seconds=5.0)
    addresses = ["169.254.169.254", "10.0.0.1", "127.0.0.3", "127.0.0.1"]

    answer = post("id", receiver.url(host="many.example"), "{}", policy, lambda *_: addresses)

    assert answer == Delivered(200)
    assert [one.headers["host"] for one in receiver.received] == [f"many.example:{receiver.port}"]


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(receiver, status):
    with closing(Receiver()) as private:
        receiver.answer = lambda _: status
        receiver.headers = {"Location": private.url("/metadata")}

        answer = post("id", receiver.url(), "{}", OPEN)

    assert answer == Undelivered(f"http://127.0.0.1:{receiver.port}: answered with status {status}")
    assert private.received == []


@pytest.mark.parametrize("status", [400, 404, 410, 429, 500, 503])
def test_any_other_status_is_not_delivered(receiver, status):
    receiver.answer = lambda _: status

    assert isinstance(post("id", receiver.url(), "{}", OPEN), Undelivered)


def test_the_path_and_the_answer_of_a_receiver_are_in_no_reason(receiver):
    receiver.write = lambda file: file.write(
        b"HTTP/1.0 500 leaked-phrase\r\nX: leaked-header\r\n\r\nleaked-body"
    )

    answer = post("id", receiver.url("/secret-path?token=secret-token"), "{}", OPEN)

    assert answer == Undelivered(f"http://127.0.0.1:{receiver.port}: answered with status 500")


def test_nobody_listening_is_not_delivered():
    assert post("id", f"http://127.0.0.1:{free_port()}/", "{}", OPEN).reason.endswith("connection refused")


def test_a_body_without_end_holds_nobody_up(receiver):
    """The body of an answer is not read."""
    done = threading.Event()

    def write(file):
        with suppress(OSError):
            file.write(b"HTTP/1.0 200 OK\r\n\r\n")
            while not done.is_set():
                file.write(b"x" * 65_536)

    receiver.write = write
    began = time.monotonic()
    answer = post("id", receiver.url(), "{}", OPEN)
    done.set()

    assert answer == Delivered(200)
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("piece", [b"", b"H", b"X: 1\r\n"], ids=["silence", "status", "headers"])
def test_an_answer_that_comes_byte_by_byte_is_cut_off(receiver, piece):
    done = threading.Event()

    def write(file):
        with suppress(OSError):
            if piece.startswith(b"X"):
                file.write(b"HTTP/1.0 200 OK\r\n")
            while not done.wait(0.05):
                file.write(piece)

    receiver.write = write
    began = time.monotonic()
    answer = post("id", receiver.url(), "{}", HASTY)
    took = time.monotonic() - began
    done.set()

    assert answer == Undelivered(f"http://127.0.0.1:{receiver.port}: no answer in time")
    assert took < 5


def test_headers_without_end_are_cut_off(receiver):
    def write(file):
        with suppress(OSError):
            file.write(b"HTTP/1.0 200 OK\r\n")
            for number in range(200_000):
                file.write(b"X-%d: y\r\n" % number)

    receiver.write = write

    assert isinstance(post("id", receiver.url(), "{}", OPEN), Undelivered)


def test_a_handshake_that_comes_byte_by_byte_is_cut_off():
    done = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            connection, _ = server.accept()
            with connection, suppress(OSError):
                connection.sendall(b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc")  # a long record begins
                while not done.wait(0.05):
                    connection.sendall(b"\0")

        thread = threading.Thread(target=serve)
        thread.start()
        began = time.monotonic()
        answer = post("id", f"https://127.0.0.1:{server.getsockname()[1]}/", "{}", HASTY)
        took = time.monotonic() - began
        done.set()
        thread.join(20)

    assert isinstance(answer, Undelivered), answer
    assert took < 5


def test_a_resolver_that_hangs_is_not_waited_for():
    done = threading.Event()
    began = time.monotonic()

    answer = post("id", "https://slow.example/", "{}", HASTY, lambda *_: done.wait(30) and [])
    took = time.monotonic() - began
    done.set()

    assert answer == Undelivered("https://slow.example: the name cannot be resolved")
    assert took < 5


# --- TLS ----------------------------------------------------------------------------------------------------------------------


def secured(certificates, name):
    return closing(Receiver((str(certificates / f"{name}.pem"), str(certificates / f"{name}.key"))))


@pytest.mark.usefixtures("trusting")
def test_the_certificate_is_checked_for_the_name_and_not_for_the_address(certificates):
    with secured(certificates, "server") as receiver:
        answer = post("id", receiver.url(host="localhost"), "{}", OPEN, to("127.0.0.1"))

        assert answer == Delivered(200)
        assert len(receiver.received) == 1


@pytest.mark.usefixtures("trusting")
def test_a_certificate_for_another_name_is_refused(certificates):
    with secured(certificates, "other") as receiver:
        answer = post("id", receiver.url(host="localhost"), "{}", OPEN, to("127.0.0.1"))

        assert "its certificate is not good: Hostname mismatch" in answer.reason
        assert receiver.received == []


def test_a_certificate_of_an_authority_that_nobody_knows_is_refused(certificates):
    with secured(certificates, "server") as receiver:
        answer = post("id", receiver.url(host="localhost"), "{}", OPEN, to("127.0.0.1"))

        assert "its certificate is not good" in answer.reason
        assert receiver.received == []
