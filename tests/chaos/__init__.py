"""Real beats under fire: killed, frozen, stopped and cut off, over real stores and brokers; then ledger and queue are counted.

`python -m chaos beats` (make chaos) runs all combinations; tests/acceptance/scheduler/test_chaos_short.py a few faults of some. A run has a seed, from
which its faults follow; when they strike depends on the machine. Parts: world.py starts store and broker (own_server.py, proxy.py),
fleet.py has the beats, fault.py notes what is done to them, scenario.py does it, drain.py reads what came of it, checker.py judges. Workers have a suite
of their own (workers/), which shares the servers (own_server.py), the programs (crew.py) and the bars (bar.py).
"""
