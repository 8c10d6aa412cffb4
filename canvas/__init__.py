"""backbeat.canvas: defines tasks, sends them, composes them into workflows and runs them.

Importing it loads no broker, no database and no serialiser: these come with the first connection (see wiring.py).
"""

from .application import App, Celery
from .compose.chain import chain
from .compose.chord import chord
from .compose.group import group
from .current import current_app, current_task
from .mapping import chunks, xmap, xstarmap
from .result import AsyncResult, GroupResult, ResultSet, result_from_tuple
from .signature import Signature, maybe_signature, signature, subtask
from .stamping import StampingVisitor
from .task import Task
from .tasks import shared_task
from .utils import uuid

__all__ = [
    "App",
    "AsyncResult",
    "Celery",
    "GroupResult",
    "ResultSet",
    "Signature",
    "StampingVisitor",
    "Task",
    "chain",
    "chord",
    "chunks",
    "current_app",
    "current_task",
    "group",
    "maybe_signature",
    "result_from_tuple",
    "shared_task",
    "signature",
    "subtask",
    "uuid",
    "xmap",
    "xstarmap",
]
