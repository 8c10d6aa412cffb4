"""Signal, under the name that Celery projects import it by."""

from ..signal import Signal

__all__ = ["Signal"]
