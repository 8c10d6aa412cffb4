"""BeatThread: a beat beside a worker, in a thread of the same process, as in `backbeat dev` and `backbeat worker -B`."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

from .beat import Beat


@contextlib.contextmanager
def running_beat(beat: Beat, stop: Callable[[], None]) -> Iterator[None]:
    """In the block the beat runs. If it fails `stop` is called, which is to end the block, and what it raised is raised at the end."""
    stopping = threading.Event()
    failures: list[BaseException] = []

    def run() -> None:
        try:
            beat.run(stopping.is_set)
        except BaseException as error:
            failures.append(error)
            stop()
            raise

    thread = threading.Thread(target=run, name="beat")
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        beat.wake()
        thread.join()
    if failures:
        raise failures[0]
