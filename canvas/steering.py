"""Steering: what can be done to tasks and canvases that were sent: revoke them, look at them, say how far they are. A part of App."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from .canvas_run import CanvasRun
from .config import Config
from .connections import Connections
from .errors import Unavailable
from .message import Message
from .places import store_url
from .progress import Progress
from .signum import signum_of
from .stamping import revoked_stamps
from .stated import stated
from .value import flag, identities, identity
from .wiring import keyring_of

if TYPE_CHECKING:
    from .control import Control

logger = logging.getLogger(__name__)


class Steering:
    """Of an app with the settings `conf`."""

    conf: Config
    control: Control
    _connections: Connections

    def revoke(
        self, ids: str | UUID | Sequence[str | UUID], terminate: bool = False, signal: str | int = "SIGTERM"
    ) -> None:
        """See to it that these tasks do not start, also if they are sent only later; it is remembered for 30 days. Without a result backend
        only the workers that run now are told, and remember it as long as they run.

        What waits is REVOKED at once. Those that run already go on, but with `terminate`: then the process that runs them gets
        `signal`, and they are REVOKED, too.
        """
        self._revoke(identities("a task's id", ids), terminate, signal)

    def revoke_by_stamped_headers(
        self,
        headers: Mapping[str, Any] | Sequence[str],
        terminate: bool = False,
        signal: str | int = "SIGTERM",
    ) -> None:
        """As `revoke`, for all tasks that have one of these stamps: a map of names and values, a list being several values, or texts "name=value".

        What waits is REVOKED when its message comes to a worker.
        """
        self._revoke(revoked_stamps(headers), terminate, signal)

    def _revoke(self, keys: list[str], terminate: bool, signal: str | int) -> None:
        signum = signum_of(signal)  # also where nothing gets it: a wrong one is a mistake all the same
        is_ended = flag("terminate", terminate)
        if store_url(self.conf) is None:
            # nothing remembers it but the workers that run now (decisions K17)
            self.control.revoke(keys, terminate=is_ended, signal=signum)
            return
        with self._connections.client() as client:
            client.revoke(keys, signum if is_ended else None)

    def canvas(self, id: str | UUID, near: Sequence[str] = ()) -> CanvasRun:
        """A canvas that was sent, by the id of its root, of its value, or of a task of it that has begun: to look at, cancel or retry.

        By the id of any part of it, if `near` are ids of that kind. Raises ImproperlyConfigured where there is no result backend.
        """
        part: str = identity("an id", id)
        return CanvasRun(
            part, self._connections.client, self._connections.results, keyring_of(self.conf), near
        )

    def tell_state(
        self, task_id: str | UUID, state: str, meta: Any = None, message: Message | None = None
    ) -> None:
        """Let `state` and `meta` (a value, or an exception) be what is known of a task, unless it has ended; `message` is what it came as.

        It returns when that is stored; where it cannot be, the log says so. Raises ImproperlyConfigured for what is no name of a state,
        EncodeError for a `meta` that cannot be written down.
        """
        name, value = stated(state, meta, int(self.conf.result_max_bytes))
        word = Progress(id=identity("task_id", task_id), state=name, value=value, message=message)
        try:
            with self._connections.client() as client:
                client.tell([word])
        except Unavailable as error:
            extra = {"action": "state_lost", "id": word.id}
            logger.warning("%s; that task %s is %s is not stored", error, word.id, name, extra=extra)
