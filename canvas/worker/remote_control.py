"""RemoteControl: a thread of a worker that gets questions and orders, has the panel's commands answer them, and sends the answers.

It has a connection of its own, so that a worker answers also when its loop waits for a store. A command that breaks is an answer, too.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

from ..errors import MessageError, Unavailable
from ..patience import Patience
from ..remote.base import Mailbox, NameTaken
from ..remote.request import Request
from .panel import SILENT, Panel
from .state import WorkerState

logger = logging.getLogger("backbeat.worker")

TAKEN_SECONDS = 60.0
"""How often is tried again whether the name is free."""
TURN_SECONDS = 1.0
"""How long it waits at a time, and so about how long it may take to end."""
BEGIN_SECONDS, FIRST_SECONDS = 2.0, 0.01
"""How long a worker that starts waits until orders come to it, at most; and the turn after which they do, as kombu subscribes in it."""


class RemoteControl:
    """Of the worker of `state`."""

    def __init__(self, mailbox: Mailbox, panel: Panel, state: WorkerState) -> None:
        self._mailbox = mailbox
        self._panel = panel
        self._state = state
        self._stopped, self._begun = threading.Event(), threading.Event()
        self._patience = Patience()

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        """While the worker runs: who is told that it is ready can ask it. The thread ends a moment after it: nothing depends on that."""
        threading.Thread(target=self._work, name="backbeat-control", daemon=True).start()
        self._begun.wait(BEGIN_SECONDS)
        try:
            yield
        finally:
            self._stopped.set()

    def _work(self) -> None:
        while not self._stopped.is_set():
            try:
                requests = self._mailbox.take(TURN_SECONDS if self._begun.is_set() else FIRST_SECONDS)
                self._patience.reset()
            except NameTaken as error:
                logger.warning("remote control: %s", error, extra={"action": "name_taken"})
                self._stopped.wait(TAKEN_SECONDS)
                continue
            except Unavailable as error:
                self._pause(error)
                continue
            finally:
                self._begun.set()  # or it cannot be begun, and the worker starts all the same
            for request in requests:
                if not self._stopped.is_set():
                    self._serve(request)
        with contextlib.suppress(Unavailable):
            self._mailbox.close()

    def _pause(self, error: Unavailable) -> None:
        pause, is_told = self._patience.next()
        level, extra = logging.WARNING if is_told else logging.DEBUG, {"action": "unavailable"}
        logger.log(level, "remote control: %s; trying again in %.1f s", error, pause, extra=extra)
        self._stopped.wait(pause)

    def _serve(self, request: Request) -> None:
        try:
            if request.is_late(time.time()) or not request.is_for(self._state.hostname):
                return
        except MessageError as error:
            logger.error("refused an order: %s", error, extra={"action": "control_refused"})  # noqa: TRY400 - a stranger's fault
            return
        payload = self.answer(request.method, request.arguments)
        if request.reply_to is None or payload is SILENT:
            return
        try:
            self._mailbox.reply(request, {self._state.hostname: payload})
        except Unavailable as error:
            extra = {"action": "unavailable"}
            logger.warning("the answer to %s is not sent: %s", request.method, error, extra=extra)

    def answer(self, method: str, arguments: Mapping[str, Any]) -> Any:
        """What a command answers; SILENT if it answers nothing."""
        command = self._panel.get(method)
        if command is None:
            logger.error("there is no command %r", method, extra={"action": "control_unknown"})
            return {"error": f"unknown command {method!r}"}
        try:
            return command.run(self._state, **arguments)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is for who asked
            extra = {"action": "control_failed"}
            logger.error("command %s: %r", method, error, extra=extra)  # noqa: TRY400 - as an answer; who wrote the command asks for more
            return {"error": repr(error)}
