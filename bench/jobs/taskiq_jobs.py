"""taskiq: BENCH_KIND is list (the message is gone when a worker takes it) or stream (acknowledged after the task)."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time

from counted import count
from taskiq_redis import ListQueueBroker, RedisAsyncResultBackend, RedisStreamBroker

Broker = RedisStreamBroker if os.environ["BENCH_KIND"] == "stream" else ListQueueBroker
broker = Broker(os.environ["BENCH_BROKER"], queue_name="bench")
if "BENCH_RESULTS" in os.environ:
    broker = broker.with_result_backend(RedisAsyncResultBackend(os.environ["BENCH_RESULTS"]))


@broker.task(task_name="bench.noop")
async def noop(number: int) -> int:
    return count(number)


async def send(total: int) -> float:
    await broker.startup()
    await noop.kiq(0)
    began = time.perf_counter()
    for first in range(1, total, 100):
        await asyncio.gather(*(noop.kiq(number) for number in range(first, min(first + 100, total))))
    took = time.perf_counter() - began
    await broker.shutdown()
    return took


def main():
    assert sys.argv[1] == "send"
    print(json.dumps({"seconds": asyncio.run(send(int(sys.argv[2])))}))
