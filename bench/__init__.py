"""Benchmarks: backbeat beside its peers, in one run, alternating; they print medians and ratios. `python -m bench [name ...]`."""
