"""Client: what every sender does with its task: python -c "import NAME_jobs; NAME_jobs.main()" VERB N; prints JSON.

    send N      N tasks, a thousand at once where the system can; {"seconds"}
    each N      N tasks, one call after the other; {"seconds"}
    batches N   N tasks, a hundred at once; {"seconds"}
    timers N    N tasks that are due in an hour; {"seconds"}
    latency N   N times: send one, read its result; {"ms": [...]}

The first task opens connections, and is not timed; the tasks have the numbers 0 to N - 1.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable

WARM = 5
SIZES = {"send": 1_000, "batches": 100}


def main(
    one: Callable[[int], object],
    *,
    many: Callable[[range], object] | None = None,
    timer: Callable[[int], object] | None = None,
    result_of: Callable[[object], object] | None = None,
) -> None:
    """`one` sends a task with its number, `many` some at once, `timer` one that is due in an hour; `result_of` waits for the result of what `one` returned."""
    verb, count = sys.argv[1], int(sys.argv[2])
    if verb == "latency":
        assert result_of is not None
        print(json.dumps({"ms": _latencies_ms(count, lambda number: result_of(one(number)))}))
    elif verb == "timers":
        assert timer is not None
        print(json.dumps({"seconds": _sent_in("each", count, timer, None)}))
    else:
        print(json.dumps({"seconds": _sent_in(verb, count, one, many)}))


def _latencies_ms(count: int, trip: Callable[[int], object]) -> list[float]:
    times = []
    for number in range(WARM + count):
        began = time.perf_counter()
        value = trip(number)
        times.append((time.perf_counter() - began) * 1000)
        assert value == number, (value, number)
    return times[WARM:]


def _sent_in(
    verb: str, count: int, one: Callable[[int], object], many: Callable[[range], object] | None
) -> float:
    one(0)
    began = time.perf_counter()
    if many is None or verb == "each":
        for number in range(1, count):
            one(number)
    else:
        for first in range(1, count, SIZES[verb]):
            many(range(first, min(first + SIZES[verb], count)))
    return time.perf_counter() - began
