"""OwnServer: a Redis, RabbitMQ, PostgreSQL or MariaDB of the run's own, on a port and in a directory of its own, that may be killed.

The shared servers of a machine are nobody's to restart. What was answered is on the disk: Redis syncs each write.
Started by root, RabbitMQ, PostgreSQL and MariaDB run as the users of their packages.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from support import servers
from support.processes import free_port, wait_until

SECONDS = 60.0
RABBITMQ_PROGRAM = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
SQL = ("postgres", "mariadb")
POSTGRES_PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
PROGRAMS = {
    "redis": "redis-server",
    "rabbitmq": str(RABBITMQ_PROGRAM),
    "postgres": str(Path(*POSTGRES_PROGRAMS[-1:], "postgres")),
    "mariadb": "mariadbd",
}


class OwnServer:
    """One server. `crash_signal` ends it without any good-bye, `stop_signal` in good order."""

    def __init__(self, kind: str) -> None:
        servers.require_program(PROGRAMS[kind])
        self.kind = kind
        self.port = free_port()
        self._directory = Path(tempfile.mkdtemp(prefix=f"backbeat-{kind}-"))
        self._directory.chmod(0o755)
        self._user, prepare, self._command, self._url = _RECIPES[kind](self._directory / "data", self.port)
        self.crash_signal = signal.SIGQUIT if kind == "postgres" else signal.SIGKILL
        self.stop_signal = signal.SIGINT if kind == "postgres" else signal.SIGTERM
        self._process: subprocess.Popen[bytes] | None = None
        if os.geteuid() == 0 and self._user:
            shutil.chown(self._directory, self._user)
        try:
            if prepare:
                self._run(prepare)
            self.start()
        except BaseException:
            self.close()
            raise

    def url(self, port: int | None = None) -> str:
        """Its address, or that by way of a proxy at `port`."""
        return self._url.replace(":PORT", f":{port or self.port}")

    def create_database(self, name: str) -> str:
        """Make a database on a PostgreSQL or MariaDB that runs; its address."""
        from sqlalchemy import create_engine, text

        admin = create_engine(_admin(self.kind, self.url()), isolation_level="AUTOCOMMIT")
        with admin.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        admin.dispose()
        return f"{self.url()}/{name}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._mend()
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self._as_user(self._command),
                stdout=log,
                stderr=log,
                cwd=self._directory,
                start_new_session=True,
            )
        wait_until(self._answers, SECONDS, what=lambda: (self._directory / "log").read_text()[-2000:])

    def end(self, number: int) -> None:
        """Send a signal and wait for its end."""
        assert self._process is not None
        if self.kind == "rabbitmq":  # a shell waits for the server
            os.killpg(self._process.pid, number)
        else:
            self._process.send_signal(number)
        self._process.wait(SECONDS)

    def close(self) -> None:
        """End it, and remove all that it has written."""
        if self._process is not None and self._process.poll() is None:
            self.end(self.crash_signal)
        shutil.rmtree(self._directory, ignore_errors=True)

    def _run(self, command: Sequence[str]) -> None:
        done = subprocess.run(self._as_user(command), capture_output=True, cwd=self._directory, check=False)
        assert done.returncode == 0, done.stderr.decode(errors="replace")[-2000:]

    def _mend(self) -> None:
        """Cut off the transaction in whose write a Redis was killed: Redis 7.0 passes over it once, and replays half of it at the next start."""
        manifest = self._directory / "appendonlydir" / "appendonly.aof.manifest"
        if self.kind == "redis" and manifest.exists():
            mend = ["redis-check-aof", "--fix", str(manifest)]
            done = subprocess.run(mend, input=b"y\n", capture_output=True, check=False)
            assert done.returncode == 0, done.stdout.decode(errors="replace")[-2000:]

    def _as_user(self, command: Sequence[str]) -> list[str]:
        if os.geteuid() != 0 or not self._user:
            return list(command)
        return ["setpriv", "--reuid", self._user, "--regid", self._user, "--clear-groups", *command]

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._directory / "log").read_text()[-2000:]
        with contextlib.suppress(Exception):
            _ASK[self.kind](self.url())
            return True
        return False


Recipe = tuple[str, Sequence[str], Sequence[str], str]
"""User, command that makes the data directory, command of the server, URL with :PORT."""


def _redis(data: Path, port: int) -> Recipe:
    options = (
        f"--bind 127.0.0.1 --port {port} --appendonly yes --appendfsync always --maxmemory-policy noeviction"
    )
    command = ["redis-server", *options.split(), "--save", "", "--dir", str(data.parent)]
    return "", (), command, "redis://127.0.0.1:PORT/0"


def _postgres(data: Path, port: int) -> Recipe:
    programs = POSTGRES_PROGRAMS[-1]
    prepare = [str(programs / "initdb"), "-D", str(data), "-U", "postgres", "-A", "trust", "--no-sync"]
    options = ["-p", str(port), "-k", str(data), "-c", "listen_addresses=127.0.0.1"]
    command = [str(programs / "postgres"), "-D", str(data), *options]
    return "postgres", prepare, command, "postgresql+psycopg://postgres@127.0.0.1:PORT"


def _mariadb(data: Path, port: int) -> Recipe:
    place = ["--no-defaults", f"--datadir={data}"]
    prepare = ["mariadb-install-db", *place, "--auth-root-authentication-method=normal", "--skip-test-db"]
    options = f"--port={port} --bind-address=127.0.0.1 --innodb-flush-log-at-trx-commit=1 --skip-log-bin"
    command = ["mariadbd", *place, *options.split(), f"--socket={data.parent / 'socket'}"]
    return "mysql", prepare, command, "mysql+pymysql://root@127.0.0.1:PORT"


def _rabbitmq(data: Path, port: int) -> Recipe:
    home = data.parent
    (home / "own.conf").write_text(f"listeners.tcp.1 = 127.0.0.1:{port}\n")
    places = {
        "HOME": home,
        "RABBITMQ_NODENAME": f"backbeat{port}@localhost",
        "RABBITMQ_DIST_PORT": free_port(),
        "RABBITMQ_CONF_ENV_FILE": "/dev/null",
        "RABBITMQ_CONFIG_FILE": home / "own.conf",
        "RABBITMQ_ADVANCED_CONFIG_FILE": home / "none.config",
        "RABBITMQ_ENABLED_PLUGINS_FILE": home / "plugins",
        "RABBITMQ_MNESIA_BASE": data,
        "RABBITMQ_LOG_BASE": home,
        "RABBITMQ_LOGS": "-",
    }
    command = ["env", *(f"{name}={value}" for name, value in places.items()), str(RABBITMQ_PROGRAM)]
    return "rabbitmq", (), command, "amqp://guest:guest@127.0.0.1:PORT//"


_RECIPES: dict[str, Callable[[Path, int], Recipe]] = {
    "redis": _redis,
    "rabbitmq": _rabbitmq,
    "postgres": _postgres,
    "mariadb": _mariadb,
}


def _ask_sql(url: str) -> None:
    from sqlalchemy import create_engine

    engine = create_engine(_admin(url, url))
    engine.connect().close()
    engine.dispose()


def _admin(kind: str, url: str) -> str:
    return f"{url}/postgres" if kind.startswith("postgres") else url


def _ask_redis(url: str) -> None:
    import redis

    with redis.Redis.from_url(url) as client:
        client.ping()


def _ask_amqp(url: str) -> None:
    from kombu import Connection

    with Connection(url, connect_timeout=2) as connection:
        connection.ensure_connection(max_retries=1, timeout=3)


_ASK = {"redis": _ask_redis, "rabbitmq": _ask_amqp, "postgres": _ask_sql, "mariadb": _ask_sql}
