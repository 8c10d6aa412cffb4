"""`from backbeat.canvas.app.base import Celery`, as Celery projects write it."""

from ..application import App, Celery

__all__ = ["App", "Celery"]
