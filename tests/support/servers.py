"""Servers that the suites need: found, and lent out as a database, vhost or key prefix of one's own that is dropped afterwards.

A missing server is a loud skip on a laptop and a failure where CI=true; the end of the test run lists what was missing.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import urllib.parse
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import NoReturn
from urllib.parse import urlsplit

import pytest

from support.vhosts import Vhosts

SERVERS = {
    "postgres": os.environ.get("BACKBEAT_TEST_POSTGRES", "postgresql+psycopg://postgres@127.0.0.1:5432"),
    "mariadb": os.environ.get("BACKBEAT_TEST_MARIADB", "mysql+pymysql://root@127.0.0.1:3306"),
    "redis": os.environ.get("BACKBEAT_TEST_REDIS", "redis://127.0.0.1:6379/0"),
    "rabbitmq": os.environ.get("BACKBEAT_TEST_RABBITMQ", "amqp://guest:guest@127.0.0.1:5672"),
}
RABBITMQ_API = os.environ.get("BACKBEAT_TEST_RABBITMQ_API", "")
"""Address of RabbitMQ's management API (http://guest:guest@host:15672), for where there is no rabbitmqctl."""
missing: dict[str, str] = {}
"""What was asked for and not there, with the reason."""


def require(server: str) -> str:
    """The address of a server that answers; else skips the test, or fails it in CI."""
    reason = _why_not(server)
    if reason is not None:
        lack(server, reason, f"NO {server.upper()} at {SERVERS[server]}: {reason}")
    return SERVERS[server]


def require_program(name: str) -> str:
    """The path of a program that a test starts itself; else skips the test, or fails it in CI."""
    found = shutil.which(name)
    if found is None:
        lack(name, "not installed", f"NO {name.upper()}: there is no such program")
    return found


def lack(what: str, reason: str, text: str) -> NoReturn:
    """Skip the test, or fail it in CI, as something is missing."""
    missing[what] = reason
    if os.environ.get("CI") == "true":
        pytest.fail(text)
    pytest.skip(text)


@cache
def _why_not(server: str) -> str | None:
    try:
        {"postgres": _ask_sql, "mariadb": _ask_sql, "redis": _ask_redis, "rabbitmq": _ask_rabbitmq}[server](
            SERVERS[server]
        )
    except Exception as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
    return None


def _ask_sql(url: str) -> None:
    from sqlalchemy import create_engine

    engine = create_engine(_admin(url), connect_args={"connect_timeout": 3})
    engine.connect().close()
    engine.dispose()


def _admin(url: str) -> str:
    return f"{url}/postgres" if url.startswith("postgres") else url


def _ask_redis(url: str) -> None:
    import redis

    with redis.Redis.from_url(url, socket_connect_timeout=3) as client:
        client.ping()


def _ask_rabbitmq(url: str) -> None:
    from kombu import Connection

    with Connection(url, connect_timeout=3) as connection:
        connection.transport.establish_connection().close()
    if not RABBITMQ_API and shutil.which("rabbitmqctl") is None:
        raise RuntimeError("neither rabbitmqctl nor BACKBEAT_TEST_RABBITMQ_API")


# --- what is lent ----------------------------------------------------------------------------------------------------------------


@contextmanager
def own_database(server: str) -> Iterator[str]:
    """The URL of a new, empty database."""
    from sqlalchemy import create_engine, text

    url = require(server)
    name = f"bb_test_{secrets.token_hex(4)}"
    admin = create_engine(_admin(url), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
        if (
            server == "postgres"
        ):  # no test lets this server die, and a commit costs a fortieth without the disk
            connection.execute(text(f"ALTER DATABASE {name} SET synchronous_commit TO off"))
    try:
        yield f"{url}/{name}"
    finally:
        force = " WITH (FORCE)" if server == "postgres" else ""
        with admin.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name}{force}"))
        admin.dispose()


@contextmanager
def own_vhost() -> Iterator[str]:
    """The URL of a new, empty vhost."""
    url = require("rabbitmq")
    user = urlsplit(url).username or "guest"
    if not RABBITMQ_API:
        name = _vhosts.lend(user)
        try:
            yield f"{url}/{name}"
        finally:
            _vhosts.take_back(name)
        return
    name = f"bb_test_{secrets.token_hex(4)}"
    _call_api("PUT", f"/api/vhosts/{name}")
    _call_api("PUT", f"/api/permissions/{name}/{user}", b'{"configure":".*","write":".*","read":".*"}')
    try:
        yield f"{url}/{name}"
    finally:
        _call_api("DELETE", f"/api/vhosts/{name}")


@contextmanager
def own_user(vhost_url: str, password: str) -> Iterator[str]:
    """The URL of a vhost for a new user of RabbitMQ with that password, who may do everything there."""
    vhost, user = vhost_url.rsplit("/", 1)[1], f"bb_test_{secrets.token_hex(4)}"
    rights = [".*", ".*", ".*"]
    if RABBITMQ_API:
        _call_api("PUT", f"/api/users/{user}", json.dumps({"password": password, "tags": ""}).encode())
        body = dict(zip(["configure", "write", "read"], rights, strict=True))
        _call_api("PUT", f"/api/permissions/{vhost}/{user}", json.dumps(body).encode())
    else:
        rabbitmqctl("add_user", user, given=password)
        rabbitmqctl("set_permissions", "-p", vhost, user, *rights)
    try:
        parts = urlsplit(vhost_url)
        secret = urllib.parse.quote(password, safe="")
        yield f"{parts.scheme}://{user}:{secret}@{parts.hostname}:{parts.port}{parts.path}"
    finally:
        if RABBITMQ_API:
            _call_api("DELETE", f"/api/users/{user}")
        else:
            rabbitmqctl("delete_user", user)


@contextmanager
def own_prefix() -> Iterator[tuple[str, str]]:
    """The URL of a Redis server, and a prefix for all keys; what has it is deleted afterwards."""
    import redis

    url = require("redis")
    prefix = f"bb_test_{secrets.token_hex(4)}_"
    try:
        yield f"{url}?client_name={prefix}", prefix
    finally:
        with redis.Redis.from_url(url) as client:
            for key in client.scan_iter(match=f"*{prefix}*", count=1_000):
                client.delete(key)


# --- faults ----------------------------------------------------------------------------------------------------------------------


def cut_vhost(url: str) -> None:
    """Close all connections to a vhost, as an administrator does."""
    vhost = url.rsplit("/", 1)[1]
    if RABBITMQ_API:
        for line in _call_api("GET", f"/api/vhosts/{vhost}/connections").split(b'"name":"')[1:]:
            _call_api("DELETE", "/api/connections/" + urllib.parse.quote(line.split(b'"')[0].decode()))
    else:
        rabbitmqctl("close_all_connections", "--vhost", vhost, "cut by a test")


def cut_database(url: str) -> None:
    """Terminate all connections to a PostgreSQL or MariaDB database."""
    from sqlalchemy import create_engine, text

    server, name = url.rsplit("/", 1)
    admin = create_engine(_admin(server), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        if admin.dialect.name == "postgresql":
            query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"
            connection.execute(text(query), {"name": name})
        else:
            query = "SELECT id FROM information_schema.processlist WHERE db = :name"
            for row in connection.execute(text(query), {"name": name}).all():
                connection.exec_driver_sql(f"KILL CONNECTION {row.id}")
    admin.dispose()


def cut_redis(url: str, name: str) -> None:
    """Kill the connections to a Redis server that carry a client name, as those to the URL of `own_prefix` do."""
    import redis

    with redis.Redis.from_url(url.partition("?")[0]) as client:
        killed = [
            client.client_kill_filter(_id=each["id"]) for each in client.client_list() if each["name"] == name
        ]
    assert killed, f"no connection is called {name}"


def rabbitmqctl(*arguments: str, given: str = "") -> None:
    """Run one command; `given` is its standard input. It takes a lock of its own, so it may have to wait."""
    command = ["rabbitmqctl", "-q", *arguments]
    subprocess.run(command, input=given.encode(), check=True, capture_output=True, timeout=60)


def _call_api(method: str, path: str, body: bytes | None = None) -> bytes:
    parts = urlsplit(RABBITMQ_API)
    request = urllib.request.Request(
        f"{parts.scheme}://{parts.hostname}:{parts.port}{path}", body, method=method
    )
    secret = b64encode(f"{parts.username}:{parts.password}".encode()).decode()
    request.add_header("Authorization", f"Basic {secret}")
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.read()


_vhosts = Vhosts(lambda expression: rabbitmqctl("eval", expression))
