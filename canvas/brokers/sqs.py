"""Amazon SQS as a Broker: a KombuBroker with a line of its own. Needs the extra `sqs`: boto, which kombu uses."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from ..signing import NO_KEYS, Keyring
from .kombu import PREFETCH, KombuBroker
from .sqs_announcement import announce
from .sqs_line import SqsLine
from .sqs_queue import pause_of, visibility_of


def open_sqs(
    url: str,
    *,
    queues: Sequence[str] = (),
    prefetch: int | Callable[[], int] = PREFETCH,
    create_queues: bool = True,
    transport_options: Mapping[str, Any] | None = None,
    keyring: Keyring = NO_KEYS,
) -> KombuBroker:
    """A KombuBroker over SQS. Raises ImproperlyConfigured for a URL or options that cannot be."""
    options = transport_options or {}
    visibility_of(options)
    pause_of(options)  # and what that stands on
    return KombuBroker(
        url,
        queues=queues,
        prefetch=prefetch,
        create_queues=create_queues,
        transport_options=options,
        open_line=partial(SqsLine, keyring=keyring),
        announce=announce,
    )
