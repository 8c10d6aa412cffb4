"""Stated: what somebody says of a task, checked and written down: the name of a state, and a value or an exception."""

from __future__ import annotations

import json
from typing import Any

from .codec import dumps
from .errors import EncodeError
from .failure import error_of
from .json_text import Json
from .results.document import error_to_celery
from .value import Bound, key


def stated(state: Any, meta: Any, most: int) -> tuple[str, Json]:
    """The state and the value as they are stored. Raises ImproperlyConfigured for what is no name; EncodeError for what cannot be written, or has more
    than `most` characters.
    """
    name = str(key("state", state))
    Bound(lowest=1, highest=50, whole=True)(
        "the length of a state's name", len(name)
    )  # what Celery's table has room for
    if isinstance(meta, BaseException):
        return name, Json(json.dumps(error_to_celery(error_of(meta))))
    value = dumps(meta)
    if len(value) > most:
        raise EncodeError(
            f"the meta of state {name} has {len(value):,} bytes, more than {most:,}: say less, or raise the setting result_max_bytes"
        )
    return name, value
