"""Preparing: what a canvas is before it is sent: with all that its caller did not say. A part of App."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .call_options import CallOptions
from .config import Config
from .defaults import Defaults
from .handles import Handles
from .ids import draw
from .message import Message
from .node import Node, freeze
from .places import check_queue
from .request import running_request
from .result import Result
from .signature import Signature
from .stamp import stamped


class Preparing:
    """Of an app with the settings `conf`."""

    conf: Config
    _defaults: Defaults
    _calls: CallOptions
    _handles: Handles

    def prepare(
        self,
        signature: Signature,
        args: Iterable[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> Node:
        """The canvas as it would be sent: with all options laid on, and all ids."""
        node = inheriting(self.resolved(signature, args, kwargs, options))
        return freeze(node, node.id or draw())

    def resolved(
        self,
        signature: Signature,
        args: Iterable[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> Node:
        """The canvas with all options laid on: the caller's, the signatures', the tasks' and the settings'."""
        return self._defaults.resolved(signature, args, kwargs, options)

    def replacing(self, signature: Signature) -> Node:
        """As `resolved`, for what takes the place of a task that runs."""
        return self._defaults.replacing(signature)

    def adding(self, signature: Signature, id_: str) -> tuple[Node, Result]:
        """The frozen canvas that a running task adds to its chord, under `id_` unless it has an id; and its handle."""
        node = self._defaults.adding(signature)
        node = freeze(node, node.id or id_)
        return node, self._handles.of_sent(node)

    def queue_of(self, name: str) -> str:
        """The queue of a task: its own, its route's, or the default one."""
        return self._calls.queue_of(name)

    def check_queue(self, name: str) -> None:
        """Raise ImproperlyConfigured for the name of a queue that the broker keeps to itself."""
        check_queue(self.conf, name)

    def is_early(self, message: Message) -> bool:
        """Whether a message is acknowledged before it runs: at most once rather than at least once (decisions K9)."""
        return self._calls.is_early(message)


def inheriting(node: Node) -> Node:
    """What a stamped task sends has its stamps."""
    request = running_request()
    return node if request is None else stamped(node, request.stamps)
