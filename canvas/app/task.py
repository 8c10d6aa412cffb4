"""`from backbeat.canvas.app.task import Task, Context`, as Celery projects write it. `Context` is the class of `self.request`."""

from ..request import Request as Context
from ..task import Task

TaskType = type(Task)
"""The class of classes of tasks, for who still looks for it; as in Celery it is no class of its own."""

__all__ = ["Context", "Task", "TaskType"]
