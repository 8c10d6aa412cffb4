"""One client that reads many results: python -c "import soak_client" N; prints {"resident_mb": [...]} as JSON: its size after each hundredth of them.

It sends groups of up to a hundred, and one task in ten by itself, and lets go of each handle when it has read it.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from celery_jobs import many, noop

GROUP, ALONE = 90, 10
SECONDS = 120


def main() -> None:
    count = int(sys.argv[1])
    sizes, read = [], 0
    while read < count:
        members = range(read, min(read + GROUP, count))
        assert many(members).get(timeout=SECONDS) == list(members)
        read = members.stop
        for number in range(read, min(read + ALONE, count)):
            assert noop.delay(number).get(timeout=SECONDS) == number
            read = number + 1
        while len(sizes) < read * 100 // count:
            sizes.append(_resident_mb())
    print(json.dumps({"resident_mb": sizes}))


def _resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


main()
