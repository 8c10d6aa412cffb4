"""Beat: P1 to P4 and P7 of the targets: bursts, side by side with Celery's beat, RedBeat, APScheduler and sqlalchemy-celery-beat.

All entries fall due at one instant. Ours records each firing in a SQLite ledger (synchronous=FULL) before it sends, and counts it when
the broker has confirmed it; P1's ledger holds a million rows already. The peers keep what state they keep, with their fastest settings.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from .environment import peers_python
from .pairs import Outcome, absolute, against, alternate, run_data
from .stores import old_ledger

REDIS = "redis://127.0.0.1:6379/14"
OLD_ROWS = 1_000_000
LIMIT_SECONDS = 10


def p1() -> list[Outcome]:
    """10,000 due, Redis, a million old rows: against Celery's beat; and how late the last one is (P7)."""
    ledger = str(old_ledger(OLD_ROWS))
    ours, theirs = _pairs(REDIS, 10_000, "celery", ledger)
    title = "10,000 due at one instant, Redis, ledger with 1,000,000 rows"
    return [
        against("P1", title, "/s", "celery beat", _of(ours, "rate"), _of(theirs, "rate"), at_least=300),
        absolute("P7b", "last of 10,000 due at one instant, Redis", "s", _of(ours, "last_s"), 0.4),
    ]


def p2() -> list[Outcome]:
    """10,000 due, Redis: against RedBeat, and against APScheduler 3 with Celery's send_task."""
    title = "10,000 due at one instant, Redis"
    outcomes = []
    for name, peer, shown, least in (
        ("P2a", "redbeat", "RedBeat", 12),
        ("P2b", "apscheduler", "APScheduler 3 + send_task", 8),
    ):
        ours, theirs = _pairs(REDIS, 10_000, peer, limit=30)
        outcomes.append(
            against(name, title, "/s", shown, _of(ours, "rate"), _of(theirs, "rate"), at_least=least)
        )
    return outcomes


def p3() -> list[Outcome]:
    """10,000 due, RabbitMQ, persistent and confirmed."""
    with _vhost() as url:
        ours, theirs = _pairs(url, 10_000, "celery")
    title = "10,000 due at one instant, RabbitMQ, persistent, confirmed"
    return [
        against(
            "P3",
            title,
            "/s",
            "celery beat with confirms",
            _of(ours, "rate"),
            _of(theirs, "rate"),
            at_least=50,
        )
    ]


def p4() -> list[Outcome]:
    """1,000 due, Redis: rate and lateness; sqlalchemy-celery-beat beside it."""
    title = "1,000 due at one instant, Redis"
    ours, theirs = _pairs(REDIS, 1_000, "celery")
    outcomes = [
        against("P4a", title, "/s", "celery beat", _of(ours, "rate"), _of(theirs, "rate"), at_least=40),
        against(
            "P4b",
            f"{title}, lateness p99",
            "s",
            "celery beat",
            _of(ours, "p99_s"),
            _of(theirs, "p99_s"),
            at_most=0.04,
        ),
    ]
    ours, theirs = _pairs(REDIS, 1_000, "sqlalchemy")
    outcomes.append(
        against(
            "P4c", title, "/s", "sqlalchemy-celery-beat", _of(ours, "rate"), _of(theirs, "rate"), at_least=40
        )
    )
    return outcomes


def p7() -> list[Outcome]:
    """100,000 due at one instant, Redis: until the whole burst is out."""
    ours = [_ours(REDIS, 100_000) for _ in range(2)]
    return [
        absolute("P7a", "100,000 due at one instant, Redis, all out after", "s", _of(ours, "last_s"), 4.0)
    ]


def _pairs(
    url: str, count: int, peer: str, *ledger: str, limit: float = LIMIT_SECONDS
) -> tuple[list[Any], list[Any]]:
    return alternate(lambda: _ours(url, count, *ledger), lambda: _theirs(url, count, peer, limit))


def _ours(url: str, count: int, *ledger: str) -> Any:
    command = [sys.executable, "-W", "ignore", "-m", "bench.our_burst", str(count), url, *ledger]
    return cleared(url, lambda: run_data(command), count)


def _theirs(url: str, count: int, peer: str, limit: float) -> Any:
    command = [str(peers_python()), "-W", "ignore", "bench/peers/burst.py", peer, str(count), url, str(limit)]
    return cleared(url, lambda: run_data(command), 0)


def _of(runs: list[Any], key: str) -> list[float]:
    return [run[key] for run in runs]


def cleared(url: str, run: Callable[[], Any], expected: int) -> Any:
    """Run with nothing in the queue; what was counted must be there, too. A broker that is full of the run before is slower."""
    if not url.startswith("redis"):
        _purged(url)
        done = run()
        found = _purged(url)
    else:
        import redis

        with redis.Redis.from_url(url) as client:
            client.flushdb()
            done = run()
            found = client.llen("bench")
            client.flushdb()
    if found < max(expected, done["sent"]):
        raise SystemExit(f"{done['sent']} were counted, {found} are in the queue")
    return done


def _purged(url: str) -> int:
    """Empties the queue, and says how much was in it. What announces a beat goes, too: the next one has another store."""
    from kombu import Connection

    with Connection(url) as connection, connection.channel() as channel:
        channel.queue_delete("backbeat.announced.beat.bench")
        _, found, _ = channel.queue_declare("bench", durable=True, auto_delete=False)
        channel.queue_purge("bench")
    return int(found)


@contextmanager
def _vhost() -> Iterator[str]:
    from tests.support.servers import own_vhost

    with own_vhost() as url:
        yield url
