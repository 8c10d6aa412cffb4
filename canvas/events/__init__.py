"""Events: what workers tell of themselves and of their tasks, for Flower, `celery events` and whoever listens (wire.md 4.4)."""
