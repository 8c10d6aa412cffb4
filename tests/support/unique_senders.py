"""A program whose children all send one task with one key: python -m support.unique_senders BROKER BACKEND CHILDREN SENDS

It prints, as JSON, how many handles its children got of each id, and how many seconds they took. Children are forks, so that many of
them begin at the same moment.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter

from backbeat.canvas import App
from backbeat.canvas.wiring import open_client


def make_app(broker: str, backend: str) -> App:
    """Where the task is known."""
    app = App("unique", broker=broker, backend=backend, set_as_current=False)

    @app.task(name="sync", unique_key="user:{user_id}")
    def sync(user_id: int) -> int:
        return 10 * user_id

    return app


def _send(app: App, sends: int, gate: int, told: int) -> None:
    """One child: wait for the gate to open, send, and tell which ids there were."""
    app.results  # noqa: B018 - opened before the race begins
    os.read(gate, 1)
    ids = Counter(app.tasks["sync"].delay(1).id for _ in range(sends))
    with os.fdopen(told, "w") as out:
        json.dump(ids, out)


def main(broker: str, backend: str, children: int, sends: int) -> None:
    app = make_app(broker, backend)
    open_client(app.conf).close()  # tables are there, modules are loaded
    gate, opened = os.pipe()
    ends = []
    for _ in range(children):
        told, telling = os.pipe()
        if os.fork() == 0:
            os.close(opened)
            _send(app, sends, gate, telling)
            os._exit(0)
        os.close(telling)
        ends.append(told)
    os.close(gate)
    began = time.monotonic()
    os.close(opened)
    ids: Counter[str] = Counter()
    for told in ends:
        with os.fdopen(told) as heard:
            ids.update(json.loads(heard.read()))
    print(json.dumps({"ids": ids, "seconds": round(time.monotonic() - began, 2)}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
