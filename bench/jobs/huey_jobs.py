"""huey: the message is gone when a worker takes it."""

from __future__ import annotations

import os

import client
from counted import count
from huey import RedisHuey

huey = RedisHuey("bench", url=os.environ["BENCH_BROKER"], results="BENCH_RESULTS" in os.environ)


@huey.task(name="noop")
def noop(number):
    return count(number)


def main():
    client.main(noop, result_of=lambda handle: handle.get(blocking=True, timeout=30))
