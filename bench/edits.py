"""Edits: 50 edits a second beside a beat with 100,000 entries: how soon it takes them up, and how late the others get.

The beat runs here, over a store of its own and an outlet in memory; the editor is another process, as an operator's would be.
Most edits change what or when an entry fires, pause it or resume it; one in ten is a run-now, whose way to the broker is the time
that the beat needs to see an edit. 200 entries fire each second, the rest once a day; their lateness is that of "the others".

    python -m bench.edits [sqlite | URL] [entries] [seconds]
"""

from __future__ import annotations

import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from datetime import timedelta

from backbeat.canvas.holder import LocalProcesses
from backbeat.scheduler.beat import Beat
from backbeat.scheduler.clock import SystemClock
from backbeat.scheduler.entry import SECOND_US, Entry, Owner
from backbeat.scheduler.errand import Errands
from backbeat.scheduler.firing import FiringKind
from backbeat.scheduler.leader import Elector
from backbeat.scheduler.listener import SilentListener
from backbeat.scheduler.order import Change, Pause, Resume
from backbeat.scheduler.relay import MemoryOutlet
from backbeat.scheduler.schedule import Interval
from backbeat.scheduler.store.base import Fence, Lease
from backbeat.scheduler.store.registry_wiring import registry_of
from backbeat.scheduler.store.wiring import open_store

from .pairs import Outcome, absolute

EACH_SECOND = 200
EDITS_A_SECOND = 50
DAY = timedelta(days=1)


def main(where: str = "sqlite", entries: str = "100000", seconds: str = "10") -> None:
    """Print lateness without edits and beside them, and the time until an edit is seen."""
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        url = f"sqlite:///{directory}/store.db" if where == "sqlite" else where
        begun = time.monotonic()
        fill(url, int(entries))
        print(f"{entries} entries stored in {time.monotonic() - begun:.1f} s")
        measure(url, int(entries), float(seconds))


def fill(url: str, number: int) -> None:
    """Entries of the store's own: the first fire each second, the others once a day, each at its own second."""
    store = open_store(url, cluster="bench")
    store.swap_lease(store.read_lease(), Lease("bench", 1, 1, 10_000))
    wanted = [
        Entry(
            name=f"e{k:06}",
            when=Interval(every=timedelta(seconds=1))
            if k < EACH_SECOND
            else Interval(every=DAY, anchor_us=k * 86_400 * SECOND_US // number),
            what={"task": "app.task", "args": [k]},
        )
        for k in range(number)
    ]
    store.reconcile(wanted, time.time_ns() // 1000, Fence("bench", 1), batch_id=1, owner=Owner.DB)
    lease = store.read_lease()
    store.swap_lease(lease, Lease("", lease.epoch, lease.renewal + 1, 10_000))
    store.close()


class Notes(SilentListener):
    """(when it was sent, how late, of what kind) of each firing."""

    def __init__(self) -> None:
        self.lines: list[tuple[float, float, FiringKind, str]] = []
        self.leads = threading.Event()

    def fired(self, firing, lateness_us):
        self.lines.append((time.monotonic(), lateness_us / 1e6, firing.kind, firing.entry))

    def leading(self, _term):
        self.leads.set()


def edits() -> list[Outcome]:
    """How soon an edit is seen among 100,000 entries, and how late the others are beside fifty of them a second."""
    with tempfile.TemporaryDirectory() as directory:
        url = f"sqlite:///{directory}/store.db"
        fill(url, 100_000)
        seen, late = measure(url, 100_000, 10.0)
    title = "an edit by command, 50 a second among 100,000 entries, until it is seen, the slowest"
    others = "lateness p99 of 200 entries of each second beside these edits"
    return [absolute("E1", title, "s", [seen], 1), absolute("E2", others, "s", [late], 0.05)]


def measure(url: str, number: int, seconds: float) -> tuple[float, float]:
    """The slowest edit until it was seen, and the lateness p99 of the others beside the edits, in seconds."""
    store, clock, processes, notes = (
        open_store(url, cluster="bench"),
        SystemClock(),
        LocalProcesses(),
        Notes(),
    )
    _, records, chores = registry_of(store)
    beat = Beat(
        store,
        MemoryOutlet(),
        clock,
        Elector(store, clock, processes.myself(), processes),
        cluster="bench",
        listener=notes,
        errands=Errands(chores, records, clock, "bench"),
    )
    stop = threading.Event()
    begun = time.monotonic()
    thread = threading.Thread(target=beat.run, args=(stop.is_set,))
    thread.start()
    notes.leads.wait(120)
    print(f"leading after {time.monotonic() - begun:.1f} s")
    time.sleep(3)
    quiet = (time.monotonic(), time.monotonic() + seconds)
    time.sleep(seconds)
    editor = subprocess.run(
        [sys.executable, "-m", "bench.edits", "--edit", url, str(number), str(seconds)],
        check=True,
        capture_output=True,
        text=True,
    )
    first, last = map(float, editor.stdout.split("\n")[0].split())
    time.sleep(2)
    stop.set()
    beat.wake()
    thread.join()
    store.close()
    print(editor.stdout.split("\n")[1])
    _show(
        "others, no edits",
        [late for at, late, kind, _ in notes.lines if quiet[0] <= at < quiet[1] and _other(kind)],
    )
    beside = [late for at, late, kind, _ in notes.lines if first <= at < last and _other(kind)]
    _show("others, beside edits", beside)
    seen = [late for _, late, kind, _ in notes.lines if kind is FiringKind.MANUAL]
    _show("an edit until it is seen", seen)
    return max(seen), sorted(beside)[int(len(beside) * 0.99)]


def _other(kind: FiringKind) -> bool:
    return kind is FiringKind.REGULAR


def _show(name: str, seconds: list[float]) -> None:
    ordered = sorted(seconds)
    p50, p99 = statistics.median(ordered), ordered[int(len(ordered) * 0.99)]
    print(
        f"{name}: {len(ordered)} firings, p50 {p50 * 1e3:.1f} ms, p99 {p99 * 1e3:.1f} ms, max {ordered[-1] * 1e3:.1f} ms"
    )


def edit(url: str, number: str, seconds: str) -> None:
    """EDITS_A_SECOND edits of entries that do not fire each second, for so long; prints when, and what an edit took."""
    store = open_store(url, cluster="bench")
    registry, _, _ = registry_of(store)
    draw = random.Random(7)
    took: list[float] = []
    first = time.monotonic()
    for k in range(round(EDITS_A_SECOND * float(seconds))):
        time.sleep(max(0.0, first + k / EDITS_A_SECOND - time.monotonic()))
        name = f"e{draw.randrange(EACH_SECOND, int(number)):06}"
        begun = time.monotonic()
        match k % 10:
            case 0:
                registry.run_now(name, f"r{k}", actor="bench")
            case 1 | 2:
                registry.edit(name, Pause(reason="bench"), actor="bench")
            case 3 | 4:
                registry.edit(name, Resume(), actor="bench")
            case 5 | 6 | 7:
                when = {"every_us": draw.randrange(60, 86_400) * SECOND_US, "anchor_us": 0}
                registry.edit(name, Change(changes={"when": when}), actor="bench")
            case _:
                registry.edit(
                    name, Change(changes={"what": {"task": "app.other", "args": [k]}}), actor="bench"
                )
        took.append(time.monotonic() - begun)
    last = time.monotonic()
    store.close()
    ordered = sorted(took)
    rate = len(took) / (last - first)
    print(first, last)
    print(
        f"{len(took)} edits, {rate:.0f}/s, each p50 {ordered[len(ordered) // 2] * 1e3:.1f} ms,"
        f" p99 {ordered[int(len(ordered) * 0.99)] * 1e3:.1f} ms"
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--edit"]:
        edit(*sys.argv[2:])
    else:
        main(*sys.argv[1:])
