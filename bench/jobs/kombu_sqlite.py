"""kombu's broker in a file of SQLite: python kombu_sqlite.py PATH N; prints the rate: each message is put, taken and acknowledged, one by one."""

from __future__ import annotations

import sys
import time

from kombu import Connection


def main() -> None:
    path, count = sys.argv[1], int(sys.argv[2])
    with Connection(f"sqla+sqlite:///{path}") as connection:
        queue = connection.SimpleQueue("bench")
        queue.put(-1)  # tables are there
        queue.get(timeout=10).ack()
        began = time.perf_counter()
        for number in range(count):
            queue.put(number)
        taken = set()
        for _ in range(count):
            message = queue.get(timeout=10)
            taken.add(message.payload)
            message.ack()
        took = time.perf_counter() - began
        queue.close()
    assert taken == set(range(count))
    print(count / took)


main()
