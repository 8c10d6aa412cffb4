"""Servers as fixtures, each with a database, vhost or key prefix of its own; and at the end a line for each that was missing."""

from __future__ import annotations

import pytest
from hypothesis import settings

from support import servers, thorough

settings.register_profile("short", max_examples=40)
settings.load_profile("short")  # --hypothesis-profile=default has more, and is what `make test-all` asks for


def pytest_addoption(parser):
    parser.addoption(thorough.SHORT, action="store_true", help="Without what is for make test-all only.")


def pytest_configure(config):
    config.addinivalue_line(
        "markers", "thorough(why, turn, of): for make test-all; with `turn`, for one test in `of` always."
    )


def pytest_collection_modifyitems(config, items):
    if config.getoption(thorough.SHORT):
        thorough.leave_out(config, items)


@pytest.fixture(scope="session")
def postgres_url():
    """A new, empty PostgreSQL database."""
    with servers.own_database("postgres") as url:
        yield url


@pytest.fixture(scope="session")
def mariadb_url():
    """A new, empty MariaDB database."""
    with servers.own_database("mariadb") as url:
        yield url


@pytest.fixture(scope="session")
def amqp_url():
    """A new RabbitMQ vhost."""
    with servers.own_vhost() as url:
        yield url


@pytest.fixture(scope="session")
def sqs_server():
    """An emulator of Amazon SQS."""
    from support.sqs_server import own_sqs

    with own_sqs() as server:
        yield server


@pytest.fixture
def redis_prefixed():
    """A Redis URL and a key prefix."""
    with servers.own_prefix() as pair:
        yield pair


@pytest.fixture
def redis_url(redis_prefixed):
    return redis_prefixed[0]


@pytest.fixture
def redis_prefix(redis_prefixed):
    return redis_prefixed[1]


@pytest.fixture
def sqlite_url(tmp_path):
    """A SQLite file that does not exist yet."""
    return f"sqlite:///{tmp_path}/backbeat.db"


@pytest.fixture
def job_gate(tmp_path):
    """Where jobs of a pool arrive and wait."""
    from support.pool_jobs import Gate

    opened = Gate(tmp_path / "gate")
    yield opened
    opened.close()


@pytest.fixture
def figure(request, capsys):
    """Prints a line in the output of the test run, captured or not."""

    def show(text):
        with capsys.disabled():
            print(f"\n  figure: {request.node.name}: {text}", flush=True)

    return show


def pytest_terminal_summary(terminalreporter):
    for server, reason in sorted(servers.missing.items()):
        terminalreporter.write_line(f"MISSING SERVER {server} ({reason}): its tests did not run", red=True)
