"""Arriving: what a mailbox makes of what came: a request, or a line in the log, as a stranger's fault must not end the thread that serves all."""

from __future__ import annotations

import logging
from collections.abc import Callable

from ..errors import MessageError, SignatureError
from .request import Request

logger = logging.getLogger(__name__)


def request_or_none(read: Callable[[], Request]) -> Request | None:
    """What `read` reads; None for what is no request, or not believed."""
    try:
        return read()
    except SignatureError as error:
        extra = {"action": "control_forged"}
        logger.error("refused an order that is not believed: %s", error, extra=extra)  # noqa: TRY400 - a stranger's fault
    except (MessageError, ValueError, KeyError, TypeError, AttributeError) as error:
        extra = {"action": "control_refused"}
        logger.error("refused an order that cannot be read: %s", error, extra=extra)  # noqa: TRY400 - the same
    return None
