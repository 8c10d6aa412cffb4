"""UrlText: URLs as they may be shown in messages, logs and status: without passwords, however odd the URL is. PURE."""

from __future__ import annotations

import re

_SECRET_NAMES = re.compile(
    r"([?&;][^=&;]*(?:pass|pwd|secret|token|credential)[^=&;]*)=[^&;#]*", re.IGNORECASE
)
_WORD = re.compile(r"\w{3,}")


def without_password(url: object) -> str:
    """`url`, or several with semicolons between them, with `**` in place of passwords; "none" if there is none.

    All up to the last @ counts as user and password: an unquoted / or # in a password must not bring it to light.
    """
    if not url:
        return "none"
    head, mark, query = str(url).partition("?")
    if "@" in query and "@" not in head:  # the question mark is in the password
        head, mark, query = str(url), "", ""
    masked = ";".join(_masked(each) for each in re.split(r";(?=[\w+]+://)", head))
    return _SECRET_NAMES.sub(r"\1=**", f"{masked}{mark}{query}")


def error_text(error: BaseException, url: object) -> str:
    """What `error`, about `url`, says; only its class if it quotes anything of the URL that must not be shown."""
    hidden = set(_WORD.findall(str(url))) - set(_WORD.findall(without_password(url)))
    text = str(error)
    return type(error).__name__ if any(word in text for word in hidden) else text


def _masked(url: str) -> str:
    scheme, mark, rest = url.partition("://") if "://" in url else ("", "", url)
    user_info, at, place = rest.rpartition("@")
    user, colon, _ = user_info.partition(":")
    return f"{scheme}{mark}{user}{colon}{'**' if colon else ''}{at}{place}"
