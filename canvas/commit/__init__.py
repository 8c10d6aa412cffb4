"""Commit: outcomes, parts, next messages and acknowledgements in one step (memory, sql, redis; split for two stores)."""
