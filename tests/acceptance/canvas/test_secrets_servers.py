"""Canaries in the passwords of RabbitMQ and PostgreSQL: they are in no argument, line of output or table, whether the server takes or refuses them."""

from __future__ import annotations

import secrets
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pytest
from sqlalchemy import MetaData, create_engine, make_url, text

from chaos.own_server import OwnServer
from support import servers

APP = "support.acceptance_tasks"
CANARY = "canary-of-the-servers"
PASSWORD = f"{CANARY}/@:%"
"""With what must be quoted in a URL; neither form may be shown."""


@pytest.fixture(scope="module")
def postgres():
    """The URL of a database, for a role with the canary, on a PostgreSQL of the test's own that asks for passwords."""
    with closing(OwnServer("postgres")) as server:
        role = f"bb_role_{secrets.token_hex(4)}"
        url = server.create_database("guarded")
        engine = create_engine(url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(f"CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'"))
            connection.execute(text(f"GRANT ALL ON SCHEMA public TO {role}"))
            rules = Path(connection.execute(text("SHOW hba_file")).scalar_one())
            rules.write_text(f"host all {role} 127.0.0.1/32 scram-sha-256\n{rules.read_text()}")
            connection.execute(text("SELECT pg_reload_conf()"))
        engine.dispose()
        yield make_url(url).set(username=role, password=PASSWORD).render_as_string(hide_password=False)


@pytest.fixture
def rabbitmq(amqp_url):
    with servers.own_user(amqp_url, PASSWORD) as url:
        yield url


def wrong(url):
    return url.replace(CANARY, f"wrong-{CANARY}")


def tables(url):
    """All that is in a database."""
    engine = create_engine(url)
    known = MetaData()
    known.reflect(engine)
    with engine.connect() as connection:
        found = {table.name: connection.execute(table.select()).all() for table in known.sorted_tables}
    engine.dispose()
    return found


@pytest.mark.timeout(240)
def test_no_password_of_rabbitmq_or_postgresql_is_shown_or_kept(programs, rabbitmq, postgres):
    known = {
        "BACKBEAT_BROKER_URL": rabbitmq,
        "BACKBEAT_RESULT_BACKEND": postgres,
        "BACKBEAT_STORE": postgres,
    }
    no_broker = {**known, "BACKBEAT_BROKER_URL": wrong(rabbitmq)}
    no_store = {name: wrong(url) if url == postgres else url for name, url in known.items()}

    def start(words, environ):
        return programs.start("-A", APP, *words.split(), environ=environ)

    stay = [
        start("worker -c 1 -l debug", known),
        start("worker -c 1 -l debug", no_broker),
        start("worker -c 1 -l debug", no_store),
        start("beat", known),
    ]
    worker, no_entry, no_results, beat = stay
    worker.wait_for("ready$")
    called = start(f"call {APP}.add --args [1,2] --wait 30", known)
    bad = start(f'call {APP}.add --args ["x"]', known)
    worker.wait_for("raised TypeError")
    no_entry.wait_for("cannot be reached: .*ACCESS_REFUSED")
    no_results.wait_for("password authentication failed")
    beat.wait_for("Leading")
    argv = [
        path.read_bytes()
        for each in [*stay, called, bad]
        for pid in each.processes
        if (path := Path(f"/proc/{pid}/cmdline")).exists()
    ]
    asked = [start(words, environ) for words in ("status", "health") for environ in (known, no_store)]
    asked += [start("dead list", known), start("doctor", no_broker)]
    refused = [start(f"call {APP}.add --args [1,2]", environ) for environ in (no_broker, no_store)]
    codes = [each.wait() for each in (called, bad, *refused)]
    for each in asked:
        each.wait()

    assert codes == [0, 0, 69, 69]
    assert all(each.runs for each in stay)
    assert len(argv) >= 4  # of each, and of the children of the worker
    shown = "\n".join(each.text for each in [*stay, called, bad, *asked, *refused])
    kept = tables(postgres)
    assert kept["bb_run"]
    for secret in (CANARY, quote(CANARY)):
        assert secret not in shown
        assert secret.encode() not in b"".join(argv)
        assert secret not in repr(kept)
    assert "Traceback" not in no_entry.text + no_results.text
