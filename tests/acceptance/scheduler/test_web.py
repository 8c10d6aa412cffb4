"""`backbeat web` as a process: it serves, it ends in order, and it is not served to strangers without a login."""

from __future__ import annotations

import json
import signal
import socket
import urllib.error
import urllib.request

import pytest

APP = "from backbeat.canvas import App\napp = App('demo', broker='memory://')\n"
TOKEN = "a-token-of-24-characters"


@pytest.fixture
def environ(tmp_path):
    (tmp_path / "demo.py").write_text(APP)
    return {"PYTHONPATH": str(tmp_path)}


@pytest.fixture
def start(programs, environ):
    """Starts a dashboard; the program, and its address."""

    def run(*options, **known):
        web = programs.start(
            "-A",
            "demo",
            "--store",
            "sqlite:///demo.db",
            "web",
            "--port",
            "0",
            *options,
            environ=environ | known,
        )
        return web, web.wait_for(r"address +(http://\S+)/")[1]

    return run


def get(url, **headers):
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_it_is_told_to_stop(start, number):
    web, address = start()

    status, text = get(f"{address}/")
    told = json.loads(get(f"{address}/api/v1/overview")[1])
    ready = get(f"{address}/readyz")
    web.send(number)

    assert (status, ready) == (200, (200, "ready\n"))
    assert "No beat has led yet" in text
    assert told["schedules"] == 0
    assert web.wait() == 0
    assert "Traceback" not in web.text


def test_elsewhere_it_is_not_served_without_a_login(programs, environ, tmp_path):
    known = ("-A", "demo", "--store", "sqlite:///demo.db", "web", "--host", "0.0.0.0", "--port", "0")

    refused = programs.start(*known, environ=environ)

    assert refused.wait() == 2
    assert "there is no login" in refused.text
    assert "Traceback" not in refused.text
    assert not (tmp_path / "demo.db").exists()


def test_elsewhere_it_is_served_to_who_has_the_token(start):
    _, address = start("--host", "0.0.0.0", "--no-record", BACKBEAT_WEB_TOKEN=TOKEN)
    url = f"{address.replace('0.0.0.0', '127.0.0.1')}/api/v1/overview"

    assert get(url)[0] == 401
    assert get(url, Authorization=f"Bearer {TOKEN}")[0] == 200


def test_a_port_that_is_taken_is_said(programs, environ):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        refused = programs.start(
            "-A", "demo", "--store", "sqlite:///demo.db", "web", "--port", port, environ=environ
        )

        assert refused.wait() == 2
        assert f"--port {port} cannot be served" in refused.text


def test_a_store_that_is_away_is_said_and_waited_for(programs, environ):
    web = programs.start(
        "-A", "demo", "--store", "postgresql://127.0.0.1:1/none", "web", "--port", "0", environ=environ
    )
    address = web.wait_for(r"address +(http://\S+)/")[1]

    assert get(f"{address}/")[0] == 503
    assert get(f"{address}/healthz") == (200, "alive\n")
    web.send(signal.SIGTERM)
    assert web.wait() == 0
