"""An app with queues behind exchanges and a broadcast; its tasks write down, in this process, which worker ran them and from which queue."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from backbeat.canvas import App
from backbeat.canvas.worker.listener import LogListener
from backbeat.canvas.worker.wiring import WorkerOptions, open_worker
from kombu import Exchange, Queue
from kombu.common import Broadcast

NAME = "support.routing_app"
SECONDS = 30.0
MEDIA = Exchange("media", type="topic")
QUEUES = [
    Queue("celery", Exchange("celery"), "celery"),
    Queue("video", MEDIA, routing_key="media.video"),
    Queue("all", MEDIA, routing_key="media.#"),
    Queue("left", Exchange("pair", "fanout")),
    Queue("right", Exchange("pair", "fanout")),
    Broadcast("news"),
]
app = App("routing", set_as_current=False, task_queues=QUEUES)
RUNS: list[dict[str, Any]] = []


@app.task(name="tell", bind=True)
def tell(self: Any, word: str) -> str:
    RUNS.append(
        {
            "id": self.request.id,
            "word": word,
            "worker": self.request.hostname,
            "queue": self.request.delivery_info["routing_key"],
        }
    )
    return word


@app.task(name="try_twice", bind=True, max_retries=1)
def try_twice(self: Any, word: str) -> str:
    RUNS.append(
        {
            "id": self.request.id,
            "word": word,
            "worker": self.request.hostname,
            "retries": self.request.retries,
        }
    )
    if self.request.retries == 0:
        raise self.retry(countdown=0)
    return word


@dataclass
class Place:
    """A broker and a backend, with what more is to be set."""

    broker: str
    backend: str | None
    settings: dict[str, Any]


def place_of(kind: str, fixture: Callable[[str], Any], name: str) -> Place:
    """A place of its own, of one of the kinds that are named here."""
    match kind:
        case "memory":
            return Place(f"memory://{name}", None, {})
        case "redis":
            url, prefix = fixture("redis_prefixed")
            return Place(
                url.partition("?")[0], None, {"broker_transport_options": {"global_keyprefix": prefix}}
            )
        case "rabbitmq":
            return Place(fixture("amqp_url"), None, {})
        case "rabbitmq+redis":
            url, prefix = fixture("redis_prefixed")
            settings = {"result_backend_transport_options": {"global_keyprefix": prefix}}
            return Place(fixture("amqp_url"), url.partition("?")[0], settings)
        case "redis+sqlite":
            url, prefix = fixture("redis_prefixed")
            settings = {"broker_transport_options": {"global_keyprefix": prefix}}
            return Place(url.partition("?")[0], fixture("sqlite_url"), settings)
    return Place(fixture(f"{kind}_url"), None, {})


@contextmanager
def placed(place: Place, **settings: Any) -> Iterator[None]:
    """In the block the app is there."""
    app.close()
    RUNS.clear()
    with app.conf.lent(
        {"broker_url": place.broker, "result_backend": place.backend, **place.settings, **settings}
    ):
        try:
            yield
        finally:
            app.close()


@contextmanager
def working(*names: str, queues: tuple[str, ...] = ()) -> Iterator[None]:
    """Workers of these names, each in a thread of this process."""
    with ExitStack() as stack:
        for name in names:
            stack.enter_context(_working(name, queues))
        yield


@contextmanager
def _working(name: str, queues: tuple[str, ...]) -> Iterator[None]:
    options = WorkerOptions(pool="solo", concurrency=1, name=f"{name}@here", queues=queues)
    there = threading.Event()

    class Ready(LogListener):
        def ready(self) -> None:
            there.set()

    worker = open_worker(app, f"{NAME}:app", options, Ready())
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        assert there.wait(SECONDS)
        yield
    finally:
        worker.stop()
        worker.stop()
        thread.join(SECONDS)
    assert not thread.is_alive()
