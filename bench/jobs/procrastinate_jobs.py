"""procrastinate: jobs and how they ended are rows in PostgreSQL."""

from __future__ import annotations

import os
import sys

import client
import procrastinate
from counted import count

app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=os.environ["BENCH_BROKER"]))


@app.task(name="bench.noop", queue="bench")
async def noop(number):
    return count(number)


def main():
    with app.open():
        if sys.argv[1] == "schema":
            app.schema_manager.apply_schema()
            print("{}")
        else:
            client.main(
                lambda number: noop.defer(number=number),
                many=lambda numbers: noop.batch_defer(*({"number": number} for number in numbers)),
            )
