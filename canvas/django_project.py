"""DjangoProject: what a project of Django's needs of tasks: it is set up before tasks are imported, connections are as fresh in a worker as in a
request, and a task can be sent when the transaction that is open commits.

Django is in use where DJANGO_SETTINGS_MODULE is set; it is imported only then.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from typing import Any

from . import signals
from .errors import ImproperlyConfigured


def is_used() -> bool:
    """Whether this is a project of Django's."""
    return bool(os.environ.get("DJANGO_SETTINGS_MODULE"))


def set_up() -> None:
    """Load the project's apps, if that is not done."""
    if not importlib.import_module("django.apps").apps.ready:
        importlib.import_module("django").setup()


def on_commit(call: Callable[[], Any], using: str | None = None) -> None:
    """Call it when the transaction that is open on the database `using` commits, and never if it is rolled back; now, if none is open.

    Raises ImproperlyConfigured where there is no Django.
    """
    try:
        transaction = importlib.import_module("django.db.transaction")
    except ImportError as error:
        text = (
            "delay_on_commit and apply_async_on_commit are for projects of Django's, which is not installed here. With SQLAlchemy write "
            "`with app.transaction(session): task.delay(...)`"
        )
        raise ImproperlyConfigured(text) from error
    transaction.on_commit(call, using=using)


def attach() -> None:
    """In a process that runs tasks: have no connection of another process, and none that is broken or too old, before and after each task."""
    signals.worker_process_init.connect(_forget, weak=False, dispatch_uid="backbeat.django")
    for each in (signals.task_prerun, signals.task_postrun):
        each.connect(_refresh, weak=False, dispatch_uid="backbeat.django")


def _forget(*_: Any, **__: Any) -> None:
    """A fork has its parent's connections, which belong to that one: dropped, and not closed, which the server would be told of."""
    for connection in importlib.import_module("django.db").connections.all(initialized_only=True):
        connection.connection = None


def _refresh(*_: Any, **__: Any) -> None:
    importlib.import_module("django.db").close_old_connections()
