"""dramatiq: messages are acknowledged after the task, as always there."""

from __future__ import annotations

import os

import client
import dramatiq
from counted import count

BROKER = os.environ["BENCH_BROKER"]
if BROKER.startswith("redis"):
    from dramatiq.brokers.redis import RedisBroker

    broker = RedisBroker(url=BROKER)
else:
    from dramatiq.brokers.rabbitmq import RabbitmqBroker

    broker = RabbitmqBroker(url=BROKER, confirm_delivery=True)
options = {}
if "BENCH_RESULTS" in os.environ:
    from dramatiq.results import Results
    from dramatiq.results.backends import RedisBackend

    broker.add_middleware(Results(backend=RedisBackend(url=os.environ["BENCH_RESULTS"])))
    options = {"store_results": True}
dramatiq.set_broker(broker)


@dramatiq.actor(queue_name="bench", **options)
def noop(number):
    return count(number)


def main():
    client.main(noop.send, result_of=lambda message: message.get_result(block=True))
