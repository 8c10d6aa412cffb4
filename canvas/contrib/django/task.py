"""`from backbeat.canvas.contrib.django.task import DjangoTask`, as Celery projects write it: every task has `delay_on_commit` here."""

from ...task import Task as DjangoTask

__all__ = ["DjangoTask"]
