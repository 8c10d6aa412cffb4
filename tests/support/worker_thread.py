"""WorkerThread: a worker of a test that runs in a thread of its own, and what notes what it hands back."""

from __future__ import annotations

import threading


class WorkerThread:
    """`thread` is to be started. `run` is what runs there: the worker's own, if nothing else is said."""

    def __init__(self, worker, run=None):
        self.worker = worker
        self.thread = threading.Thread(target=run or worker.run)

    def close(self):
        """Stop it, at once if it does not end by itself: the second one does not wait for what runs."""
        self.worker.stop()
        self.worker.stop()
        self.thread.join(20)
        assert not self.thread.is_alive()


class Released:
    """A Commit that notes what is handed back, and whether its process died."""

    def __init__(self, inner):
        self._inner = inner
        self.released = []

    def release(self, held, *, lost=False):
        self.released += [(item.message, lost) for item in held]
        self._inner.release(held, lost=lost)

    def __getattr__(self, name):
        return getattr(self._inner, name)
