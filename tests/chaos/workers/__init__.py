"""Real workers under fire: killed, restarted and cut off from their broker, under a steady load; then every id and every run is counted.

`python -m chaos workers` (make chaos) runs all stacks; tests/acceptance/canvas/test_chaos_workers_short.py a few faults of two. Parts: order.py
says what is asked for, and what must come of it; load.py asks for it and looks at the results; tasks.py is what the workers run, which
write down each run (run.py); fleet.py has the workers, blow.py notes what is done to them, poison.py what is sent to them, scenario.py does it, remains.py reads what a
store still has when all is over, and checker.py judges.
"""
