"""An emulator of Amazon SQS on loopback: moto's server, in a virtual environment of its own that is made on first use, as it needs 140 MB."""

from __future__ import annotations

import fcntl
import socket
import subprocess
import urllib.request
import venv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any

from .processes import wait_until

ROOT = Path(__file__).resolve().parents[2]
MOTO = "5.2.5"
KEYS = "sqs://testing:a%2Fsecret@"


def moto_server() -> Path:
    """The program, in an environment that has it. Fails with pip's own words if it cannot be made."""
    home = ROOT / f".venv-moto-{MOTO}"
    python = home / "bin" / "python"
    with (ROOT / ".venv-moto.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / ".complete").exists():
            venv.create(home, with_pip=True, clear=True)
            pip = [str(python), "-m", "pip", "--disable-pip-version-check", "-q", "install"]
            # not moto[server], which adds what other services than SQS need: 180 MB
            packages = [f"moto=={MOTO}", "flask", "flask-cors"]
            done = subprocess.run([*pip, *packages], capture_output=True, text=True, timeout=300)
            assert done.returncode == 0, f"{packages} cannot be installed:\n{done.stdout}{done.stderr}"
            (home / ".complete").touch()
    return home / "bin" / "moto_server"


class SqsServer:
    """A server that can be stopped and started again, on the same port and empty."""

    def __init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None
        self._log = Path(mkdtemp(prefix="backbeat-sqs-")) / "log"

    @property
    def url(self) -> str:
        """The broker's URL."""
        return f"{KEYS}127.0.0.1:{self.port}"

    @property
    def endpoint(self) -> str:
        """The address that boto knows it by."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Until it answers."""
        command = [str(moto_server()), "-H", "127.0.0.1", "-p", str(self.port)]
        with self._log.open("a") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        wait_until(self._answers, 60, what=self._log.read_text)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.endpoint}/moto-api/data.json", timeout=5):
                return True
        except OSError:
            return False

    def stop(self) -> None:
        """At once."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def close(self) -> None:
        """Stop, and leave nothing."""
        self.stop()
        rmtree(self._log.parent)

    @property
    def requests(self) -> int:
        """How many it has answered so far."""
        return self._log.read_text().count('"POST / ')

    def queues(self, region: str = "us-east-1") -> Sequence[str]:
        """The names of the queues that there are."""
        return [url.rpartition("/")[2] for url in self.client(region).list_queues().get("QueueUrls", [])]

    def empty(self) -> None:
        """Forget all queues."""
        request = urllib.request.Request(f"{self.endpoint}/moto-api/reset", b"")
        with urllib.request.urlopen(request, timeout=10):
            pass

    def client(self, region: str = "us-east-1") -> Any:
        """boto's own, to look behind the scenes."""
        import boto3

        known = {"aws_access_key_id": "testing", "aws_secret_access_key": "a/secret"}
        return boto3.Session(**known).client("sqs", region_name=region, endpoint_url=self.endpoint)


@contextmanager
def own_sqs() -> Iterator[SqsServer]:
    """A new server without queues."""
    server = SqsServer()
    try:
        server.start()
        yield server
    finally:
        server.close()
