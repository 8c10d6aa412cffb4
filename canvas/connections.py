"""Connections: an app's own to its broker and its results, opened on first use, anew in each process."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .commit.base import Commit
from .results.base import Results


class Connections:
    """What sends, and what reads results. Thread-safe."""

    def __init__(self, open_client: Callable[[], Commit], open_results: Callable[[], Results]) -> None:
        self._open_client = open_client
        self._open_results = open_results
        self._unlock()
        unlock = weakref.WeakMethod(self._unlock)
        # another thread may hold the lock at the fork, and it is not there to let go of it in the child
        os.register_at_fork(after_in_child=lambda: (found := unlock()) and found())
        self._pid = os.getpid()
        self._client: Commit | None = None
        self._results: Results | None = None

    @contextmanager
    def client(self) -> Iterator[Commit]:
        """What sends; nobody else has it in the block."""
        with self._lock:
            self._forget_parent_process()
            if self._client is None:
                self._client = self._open_client()
            yield self._client

    @property
    def results(self) -> Results:
        """Where results are read. Raises ImproperlyConfigured if there is no result backend."""
        with self._lock:
            self._forget_parent_process()
            if self._results is None:
                self._results = self._open_results()
            return self._results

    def close(self) -> None:
        """Let go of both; they are opened again when they are needed."""
        with self._lock:
            self._forget_parent_process()
            for opened in (self._client, self._results):
                if opened is not None:
                    opened.close()
            self._client = self._results = None

    @contextmanager
    def lent(self, open_client: Callable[[], Commit], open_results: Callable[[], Results]) -> Iterator[None]:
        """In the block other ones are opened, and afterwards again the app's own."""
        own = self._open_client, self._open_results
        self.close()
        self._open_client, self._open_results = open_client, open_results
        try:
            yield
        finally:
            self.close()
            self._open_client, self._open_results = own

    def _unlock(self) -> None:
        self._lock = threading.RLock()

    def _forget_parent_process(self) -> None:
        """A connection that was opened before a fork must not be used by both."""
        if self._pid != os.getpid():
            self._pid, self._client, self._results = os.getpid(), None, None
