"""Pools: where task functions run: solo (in the worker itself), processes, threads (of one other process)."""
