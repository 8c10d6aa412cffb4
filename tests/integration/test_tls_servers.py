"""TLS against real handshakes: a server that cannot prove who it is gets nothing from us; with its authority's certificate it works."""

from __future__ import annotations

import logging
import socket
import ssl
import subprocess
import threading
from contextlib import closing, contextmanager, suppress

import pytest
from backbeat.canvas import App
from backbeat.canvas.brokers.kombu import KombuBroker
from backbeat.canvas.config import Config
from backbeat.canvas.errors import Unavailable
from backbeat.canvas.redis_client import open_redis, unavailable
from backbeat.canvas.tls import warn_unverified
from backbeat.canvas.wiring import open_broker

from support import servers
from support.certificates import make_certificates
from support.processes import free_port, wait_until

SECONDS = 10.0


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """ca.pem, and two certificates of it: server.pem for localhost and other.pem for another host."""
    return make_certificates(tmp_path_factory.mktemp("tls"))


def answers(port):
    with suppress(OSError):
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    return False


# --- Redis -----------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def redis_port(certificates):
    """A Redis that speaks TLS only."""
    program = servers.require_program("redis-server")
    port = free_port()
    tls = ["--tls-cert-file", "server.pem", "--tls-key-file", "server.key", "--tls-ca-cert-file", "ca.pem"]
    words = [program, "--port", "0", "--tls-port", str(port), *tls, "--tls-auth-clients", "no", "--save", ""]
    server = subprocess.Popen(words, cwd=certificates, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: answers(port) or server.poll() is not None, what="redis-server")
        if server.poll() is not None:
            servers.lack("redis-server", "without TLS", "NO REDIS-SERVER with TLS: this one is built without")
        yield port
    finally:
        server.terminate()
        server.wait()


def ping(url):
    with closing(open_redis(url)) as client, unavailable():
        return client.ping()


def test_redis_with_a_certificate_that_cannot_be_verified_is_refused(redis_port):
    with pytest.raises(Unavailable, match=r"its certificate cannot be verified: .*\?ssl_ca_certs=FILE"):
        ping(f"rediss://:canary@localhost:{redis_port}/0")


def test_redis_works_once_its_authority_is_known(redis_port, certificates):
    assert ping(f"rediss://localhost:{redis_port}/0?ssl_ca_certs={certificates}/ca.pem")


def test_redis_under_another_name_is_refused(redis_port, certificates):
    with pytest.raises(Unavailable, match=r"certificate cannot be verified: .*127\.0\.0\.1"):
        ping(f"rediss://127.0.0.1:{redis_port}/0?ssl_ca_certs={certificates}/ca.pem")


def test_redis_is_not_verified_where_somebody_says_so(redis_port, caplog):
    warn_unverified.cache_clear()

    assert ping(f"rediss://localhost:{redis_port}/0?ssl_cert_reqs=none")

    assert [record.action for record in caplog.records] == ["tls_unverified"]


def test_an_app_sends_and_reads_over_tls(redis_port, certificates):
    known = {"ssl_ca_certs": str(certificates / "ca.pem")}
    app = App("tls", set_as_current=False, broker=f"redis://localhost:{redis_port}/0", broker_use_ssl=known)
    with app:
        handle = app.send_task("any")
        assert handle.state == "PENDING"


# --- AMQP ------------------------------------------------------------------------------------------------------------------------


class Listener:
    """Speaks TLS with whoever connects, notes the first bytes that come through it, and hangs up."""

    def __init__(self, certificates, name):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificates / f"{name}.pem", certificates / f"{name}.key")
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        self.heard = []
        self.thread = threading.Thread(target=self._serve)

    def _serve(self):
        while True:
            try:
                connection, _ = self.server.accept()
            except OSError:
                return
            connection.settimeout(SECONDS)
            try:
                with self.context.wrap_socket(connection, server_side=True) as secure:
                    self.heard.append(secure.recv(8))
            except OSError:
                self.heard.append(b"")


@contextmanager
def listening(certificates, name="server"):
    listener = Listener(certificates, name)
    listener.thread.start()
    try:
        yield listener
    finally:
        with suppress(OSError):
            listener.server.shutdown(socket.SHUT_RDWR)
        listener.server.close()
        listener.thread.join(SECONDS)


def reach(broker):
    """What is wrong with the broker; the listener is none, so there is always something."""
    with closing(broker), pytest.raises(Unavailable) as fault:
        broker.post([])
    return str(fault.value)


AMQP = b"AMQP\0\0\x09\x01"


def test_amqp_with_a_certificate_that_cannot_be_verified_gets_nothing(certificates):
    with listening(certificates) as listener:
        text = reach(KombuBroker(f"amqps://guest:canary@localhost:{listener.port}//"))

    assert "its certificate cannot be verified" in text
    assert "canary" not in text
    assert listener.heard == [b""]


def test_amqp_under_another_name_gets_nothing(certificates):
    with listening(certificates, "other") as listener:
        url = f"amqps://guest:canary@localhost:{listener.port}//?ssl_ca_certs={certificates}/ca.pem"
        text = reach(KombuBroker(url))

    assert "certificate cannot be verified: Hostname mismatch" in text
    assert listener.heard == [b""]


def test_amqp_works_once_its_authority_is_known(certificates):
    with listening(certificates) as listener:
        url = f"amqp://guest:canary@localhost:{listener.port}//"
        for _ in range(2):  # kombu remembers an address in place of the name
            setting = {"ca_certs": str(certificates / "ca.pem")}
            broker = open_broker(Config({"broker_url": url, "broker_use_ssl": setting}))
            text = reach(broker) + reach(broker)

    assert "certificate" not in text
    assert listener.heard == [AMQP] * 4


def test_amqp_is_not_verified_where_somebody_says_so(certificates, caplog):
    warn_unverified.cache_clear()
    with listening(certificates) as listener, caplog.at_level(logging.WARNING, "backbeat"):
        broker = KombuBroker(f"amqps://guest:canary@localhost:{listener.port}//?ssl_cert_reqs=none")
        reach(broker)

    assert listener.heard == [AMQP]
    assert [record.action for record in caplog.records if hasattr(record, "action")] == ["tls_unverified"]
    assert "canary" not in caplog.text
