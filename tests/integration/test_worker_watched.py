"""A worker that is watched while a real server is away: /healthz, `backbeat health` and the watchdog are red, and green again afterwards."""

from __future__ import annotations

import threading
from contextlib import closing
from urllib.parse import urlsplit

import pytest
from backbeat.canvas import App
from backbeat.canvas.clock import SystemClock
from backbeat.canvas.commit.limits import Limits
from backbeat.canvas.notify import Notifier
from backbeat.canvas.perform import Performer
from backbeat.canvas.pools.child import run_job
from backbeat.canvas.pools.solo import SoloPool
from backbeat.canvas.probe_server import ProbeServer
from backbeat.canvas.wiring import open_commit
from backbeat.canvas.worker.listener import Listeners, LogListener
from backbeat.canvas.worker.systemd import SystemdListener
from backbeat.canvas.worker.vitals import WorkerVitals
from backbeat.canvas.worker.worker import Worker
from backbeat.scheduler.cli.main import main
from click.testing import CliRunner

from support.processes import wait_until
from support.proxy import Proxy
from support.service_manager import ServiceManager
from support.stacks import open_stack

ILL_SECONDS = 1.2
"""For so long nothing may be consumable here; a worker waits longer, see vitals.py and worker/systemd.py. More than a pass takes."""


class Passes(LogListener):
    """Counts the passes in which nothing could be consumed."""

    def __init__(self):
        self.faulty = 0

    def passed(self, busy, fault=""):
        self.faulty += bool(fault)


class Watched:
    """A worker in a thread, over the servers of `stack`, that reaches the one at `url` through `proxy`; with a watchdog and pages."""

    def __init__(self, stack, url, proxy, manager):
        near = url.replace(f":{urlsplit(url).port}", f":{proxy.port}")
        broker, backend = (near if each == url else each for each in (stack.broker, stack.backend))
        self.app = App("watched", broker=broker, backend=backend, set_as_current=False)
        self.app.task(name="add")(lambda x, y: x + y)
        self.passes = Passes()
        self.commit = open_commit(self.app.conf, worker="watched", queues=["celery", "backbeat"])
        vitals = WorkerVitals(fault_seconds=ILL_SECONDS)
        systemd = SystemdListener(Notifier(manager.address, 0.3), stall_seconds=ILL_SECONDS)
        self.worker = Worker(
            self.commit,
            Performer(self.commit, None, now_us=SystemClock().now_us),
            SoloPool(lambda job, limit: run_job(job, self.app.tasks, "celery@watched", limit)),
            Listeners([self.passes, vitals, systemd]),
            Limits(),
        )
        self.pages = ProbeServer("127.0.0.1", 0, {"/healthz": vitals.healthz, "/readyz": vitals.readyz})
        self._thread = threading.Thread(target=self.worker.run)
        self._thread.start()

    def health(self):
        """What `backbeat health` says and exits with."""
        answer = CliRunner().invoke(main, ["health", "--url", f"http://{self.pages.shown}"])
        return answer.exit_code, answer.output.strip()

    def close(self):
        self.worker.stop()
        self._thread.join(30)
        assert not self._thread.is_alive()
        self.pages.close()
        self.app.close()


@pytest.fixture
def manager(tmp_path):
    with closing(ServiceManager(str(tmp_path / "notify"))) as opened:
        yield opened


@pytest.mark.parametrize(
    ("servers", "away"),
    [
        ("redis", "broker"),
        ("postgres", "broker"),
        ("rabbitmq+postgres", "broker"),
        ("rabbitmq+postgres", "backend"),
    ],
)
def test_a_worker_is_unwell_and_unfed_while_a_server_is_away_and_well_again_afterwards(
    servers, away, tmp_path, manager
):
    with (
        open_stack(servers, tmp_path) as stack,
        closing(Proxy(urlsplit(url := getattr(stack, away)).port)) as proxy,
        closing(Watched(stack, url, proxy, manager)) as watched,
    ):
        well = (0, "alive: 0 tasks run")
        manager.wait_for("WATCHDOG=1")
        assert watched.health() == well

        proxy.close_door()
        wait_until(lambda: watched.health()[0] == 1, 20, what=watched.health)
        assert "nothing can be consumed for" in watched.health()[1]
        assert "cannot be reached" in watched.health()[1]
        manager.heard()
        before = watched.passes.faulty
        wait_until(lambda: watched.passes.faulty >= before + 2, 20)
        assert not [lines for lines in manager.heard() if "WATCHDOG=1" in lines]

        proxy.open_door()
        manager.wait_for("WATCHDOG=1")
        wait_until(lambda: watched.health() == well, 20, what=watched.health)
        assert stack.app.send_task("add", [1, 2]).get(timeout=30) == 3
