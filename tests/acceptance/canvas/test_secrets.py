"""A canary in the broker's URL and in the key of signatures: it is in no argument, line of output, document or dead letter."""

from __future__ import annotations

import json
import socket
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
from backbeat.canvas.message import Message
from backbeat.canvas.signing import NO_KEYS

from support import servers
from support.processes import wait_until

APP = "support.acceptance_tasks"
PASSWORD, KEY = "canary-of-the-broker", "canary-of-the-signatures"


@pytest.fixture
def guarded_redis():
    """The port of a Redis that wants a password; it is told by its standard input, so that it is in no argument there either."""
    servers.require("redis")
    program = servers.require_program("redis-server")
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]
    process = subprocess.Popen([program, "-"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    process.stdin.write(f"port {port}\nbind 127.0.0.1\nrequirepass {PASSWORD}\nsave ''\n")
    process.stdin.close()
    try:
        wait_until(lambda: _answers(port), 10, what="redis-server")
        yield port
    finally:
        process.terminate()
        process.wait()


def _answers(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def contents(client):
    """All that is in a Redis."""
    read = {b"string": client.get, b"hash": client.hgetall, b"list": lambda key: client.lrange(key, 0, -1)}
    read |= {b"zset": lambda key: client.zrange(key, 0, -1), b"set": client.smembers}
    return {key: read[client.type(key)](key) for key in client.scan_iter()}


@pytest.mark.timeout(240)
def test_i_secret_no_secret_is_shown_or_kept(programs, guarded_redis, tmp_path):
    import redis

    keys = tmp_path / "keys.toml"
    keys.write_text(f'[main]\nsecret = "{KEY}"\n')
    keys.chmod(0o600)
    url = f"redis://default:{PASSWORD}@127.0.0.1:{guarded_redis}/0"
    known = {"BACKBEAT_BROKER_URL": url, "BACKBEAT_SECURITY_KEYS": str(keys)}
    wrong = {**known, "BACKBEAT_BROKER_URL": url.replace(PASSWORD, f"not-{PASSWORD}")}
    client = redis.Redis(port=guarded_redis, password=PASSWORD)
    run = []

    worker = programs.start("-A", APP, "worker", "-c", 1, "-l", "debug", environ=known)
    worker.wait_for("ready$")
    client.lpush("celery", NO_KEYS.text(Message(id="forged", task=f"{APP}.add", args="[1,2]")))
    beat = programs.start("-A", APP, "--store", f"sqlite:///{tmp_path}/beat.db", "beat", environ=known)
    called = programs.start("-A", APP, "call", f"{APP}.add", "--args", "[1, 2]", environ=known)
    bad = programs.start("-A", APP, "call", f"{APP}.add", "--args", '["x"]', environ=known)
    refused = programs.start("-A", APP, "call", f"{APP}.add", "--args", "[1, 2]", environ=wrong)
    locked_out = programs.start("-A", APP, "worker", "-c", 1, environ=wrong)
    beat.wait_for(r"127\.0\.0\.1")
    worker.wait_for("succeeded")
    worker.wait_for("raised TypeError")
    worker.wait_for("refused a message from queue celery: it is not to be believed")
    locked_out.wait_for("invalid username-password|WRONGPASS")
    run += [worker, beat, called, bad, refused, locked_out]
    commands = [Path(f"/proc/{pid}/cmdline") for each in run for pid in each.processes]
    argv = [path.read_bytes() for path in commands if path.exists()]
    codes = [called.wait(), bad.wait(), refused.wait()]
    shows = ["status", "doctor", "dead list", "dead show 1"]
    run += [programs.start("-A", APP, *words.split(), environ=known) for words in shows]
    for each in run[-len(shows) :]:
        each.wait()
    kept = contents(client)
    client.close()

    assert codes[0] == 0
    assert codes[2] == 69
    assert len(argv) >= 3
    shown = "\n".join(each.text for each in run)
    assert "127.0.0.1" in shown
    for secret in (PASSWORD, KEY):
        assert secret not in shown
        assert not [each for each in argv if secret.encode() in each]
        assert secret not in repr(kept)
    letters = [value for key, value in kept.items() if key.startswith(b"backbeat:dead")]
    assert "not signed" in repr(letters)
    documents = [json.loads(value) for key, value in kept.items() if key.startswith(b"celery-task-meta-")]
    assert sorted(each["status"] for each in documents) == ["FAILURE", "SUCCESS"]
    assert b"celery-task-meta-forged" not in kept
