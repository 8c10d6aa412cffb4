"""WebhookTasks: what every worker runs to tell somebody outside how a task or canvas ended.

Each delivery is a task with an id by its place in the canvas, from which that of the delivery derives: its retries, its claim and its dead letter are
those of any task, so that it is as durable as the queue is. Given up it is a dead letter, which `backbeat webhook replay` sends again.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NoReturn

from .config import Config
from .errors import ImproperlyConfigured, Reject
from .secret_file import from_file
from .sender import Sender
from .task import Task
from .task_making import task_of
from .webhook.ending_urls import PING_TASK, WEBHOOK_TASK, delivery_id
from .webhook.pause import PING_TRIES, TRIES, pause_seconds

if TYPE_CHECKING:
    from .webhook.policy import Policy
    from .webhook.post import Answer

logger = logging.getLogger(__name__)


def webhook_tasks(app: Sender) -> dict[str, Task[Any, Any]]:
    """These tasks for `app`, by their names."""

    def webhook(
        self: Task[Any, Any], report: Mapping[str, Any], url: str, at: str | None = None
    ) -> dict[str, Any]:
        from .webhook.payload import done_payload  # only who delivers pays for it
        from .webhook.post import post

        at = at or datetime.now(UTC).isoformat(timespec="milliseconds")
        id_ = delivery_id(str(self.request.id), report)
        answer = post(id_, url, done_payload(id_, report, at), _policy(self))
        return _ended(self, answer, TRIES, {"url": url, "at": at})

    def ping(
        self: Task[Any, Any], report: Mapping[str, Any], done: str | None = None, fail: str | None = None
    ) -> dict[str, Any]:
        from .webhook.post import ping as ask

        url = done if report["state"] == "SUCCESS" else fail
        if url is None:
            return {}
        try:
            return _ended(self, ask(url, _policy(self)), PING_TRIES, {"done": done, "fail": fail})
        except Reject as given_up:  # nobody wants to send it again later
            return {"given_up": given_up.reason}

    runs: dict[str, Callable[..., Any]] = {WEBHOOK_TASK: webhook, PING_TASK: ping}
    # late: what was taken and not delivered comes again, whatever the settings say of other tasks
    options = {"bind": True, "acks_late": True, "max_retries": None}
    return {name: task_of(run, {"name": name, **options}, app) for name, run in runs.items()}


def policy_of(conf: Config) -> Policy:
    """What the settings, and the environment, say now."""
    from .webhook.allowed import read_allowed
    from .webhook.policy import Policy

    conf.read_environment()
    secret = conf.webhook_secret or from_file("WEBHOOK_SECRET", os.environ)
    return Policy(secret, read_allowed(conf.webhook_allowed_hosts), conf.webhook_timeout)


def _policy(task: Task[Any, Any]) -> Policy:
    try:
        return policy_of(task.app.conf)
    except ImproperlyConfigured as error:
        _give_up(task, str(error))


def _ended(task: Task[Any, Any], answer: Answer, most: int, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """What the task returns, if it was delivered. Else another try, or the end."""
    import random

    from .webhook.post import Delivered, Refused

    match answer:
        case Delivered(status):
            return {"status": status}
        case Refused(reason):
            _give_up(task, reason)
    tries = task.request.retries + 1
    pause = None if task.request.is_eager else pause_seconds(tries, random.random(), most)  # noqa: S311 - not a secret
    if pause is None:
        _give_up(task, f"given up after {tries} tries: {answer.reason}")
    raise task.retry(kwargs=kwargs, countdown=pause, max_retries=None, exc=RuntimeError(answer.reason))


def _give_up(task: Task[Any, Any], reason: str) -> NoReturn:
    extra = {"action": "webhook_failed", "id": task.request.id, "task": task.name}
    logger.error("Not delivered: %s[%s]: %s", task.name, task.request.id, reason, extra=extra)
    raise Reject(reason)
