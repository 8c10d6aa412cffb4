"""Under the name that Celery projects import them by: `from backbeat.canvas.utils import uuid`."""

from ..ids import draw as uuid

gen_unique_id = uuid

__all__ = ["gen_unique_id", "uuid"]
