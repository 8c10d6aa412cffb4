"""Canvases while broker and database are restarted at random: each must settle with what its plan says, and nothing may be left.

`python -m chaos canvases` (make chaos ARGS=canvases) runs ten minutes on each stack. Parts: plan.py draws a canvas and says what it must come to; tasks.py is
what the workers run; siege.py sends, restarts, waits and judges; command.py runs it and writes the figures down.
"""
