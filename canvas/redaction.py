"""Redaction: which names belong to secrets, and data without what stands under such names. PURE."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

SECRET = re.compile(
    r"pass|secret|token|credential|security_key|api_key|private_key|webhook_url", re.IGNORECASE
)
"""What the name of a secret has in it."""
HIDDEN = "********"


def redacted(value: Any) -> Any:
    """JSON data with HIDDEN in place of each value whose key is the name of a secret."""
    if isinstance(value, Mapping):
        return {
            key: HIDDEN if SECRET.search(str(key)) and each not in (None, False) else redacted(each)
            for key, each in value.items()
        }
    return [redacted(each) for each in value] if isinstance(value, list | tuple) else value
