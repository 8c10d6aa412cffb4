"""A worker in miniature, run as a program by the tests of the process pool, without the guard that multiprocessing asks for.

It says "up <pids>" when its children are ready, runs one job that waits at the gate, and says how it was reported. Ctrl-C is counted only.
"""

import json
import os
import signal
import sys

from backbeat.canvas.pools.nursery import StartMethod
from backbeat.canvas.pools.processes import ProcessPool

from support.pool_jobs import job, make_spec, wait_free, wait_until

print(f"main {__name__}", flush=True)
signals = []
for each in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT):
    signal.signal(each, lambda signum, frame: signals.append(signum))
gate, method = sys.argv[1:]
pool = ProcessPool(2, make_spec(gate), StartMethod(method))
wait_free(pool, 2)
print("up", json.dumps([os.getpid(), pool._brood._nurseries.current.pid, *pool.pids]), flush=True)
reports = []
pool.submit([job("held", "wait")])
wait_until(pool, lambda: reports, reports)
print("report", type(reports[0]).__name__, len(signals), flush=True)
pool.stop(5)
