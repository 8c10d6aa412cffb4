"""Telling: the keys of a schedule that name who is told of it, and who is asked for when it was sent and has ended.

PURE. What a beat tells is of the entry (webhook, and ping's start); what workers tell, how a run ended, travels in the options of what is sent.

    webhook: URL                        webhook: {url: URL, on: [late, missed, failed]}
    on_done_url: URL
    ping: URL                           ping: {start: URL/start, done: URL, fail: URL/fail}
"""

from __future__ import annotations

from typing import Any

from ...canvas.errors import ImproperlyConfigured
from ...canvas.webhook.url import LONGEST, read_url
from ..entry import EVENTS
from .node import Mapping, Node, Scalar
from .problem import Fault, quoted
from .signature import Signature
from .value import mapping, text, texts
from .vocabulary import PING, WEBHOOK, check_keys

_PING_HELP = "write `ping: https://host/path`, or {start: URL, done: URL, fail: URL}"
_WEBHOOK_HELP = "write `webhook: https://host/path`, or {url: URL, on: [failed]}"


def read_tells(keys: Mapping) -> dict[str, Any]:
    """The fields of an Entry that say whom a beat tells. Raises Fault."""
    fields: dict[str, Any] = {}
    if (node := keys.get("webhook")) is not None:
        fields |= _webhook(node)
    if (node := keys.get("ping")) is not None and (start := _pings(node).get("start")):
        fields["ping_start"] = start
    return fields


def with_ending_urls(keys: Mapping, what: Signature) -> Signature:
    """What is sent, with those whom workers tell how it ended. Raises Fault."""
    options = dict(what["options"])
    if (node := keys.get("on_done_url")) is not None:
        options["on_done_url"] = _url(node, "on_done_url")
    if (node := keys.get("ping")) is not None:
        ends = {name: url for name, url in _pings(node).items() if name != "start"}
        options |= {"ping": ends} if ends else {}
    return {**what, "options": options}


def check_telling(node: Node, key: str) -> None:
    """Raise Fault for a value that these keys cannot have."""
    match key:
        case "webhook":
            _webhook(node)
        case "ping":
            _pings(node)
        case _:
            _url(node, key)


def _webhook(node: Node) -> dict[str, Any]:
    if isinstance(node, Scalar):
        return {"webhook_url": _url(node, "webhook")}
    written = mapping(node, "webhook", help=_WEBHOOK_HELP)
    check_keys(written, WEBHOOK)
    url, on = written.get("url"), written.get("on")
    if url is None:
        raise Fault(written.place, "E132", "webhook has no url", help=_WEBHOOK_HELP)
    found = {"webhook_url": _url(url, "url")}
    return found if on is None else found | {"webhook_on": _events(on)}


def _events(node: Node) -> tuple[str, ...]:
    events = [word for _, word in texts(node, "on")]
    for event in events:
        if event not in EVENTS:
            hint = "how a run ended is told to on_done_url" if event in ("done", "success") else ""
            raise Fault(
                node.place, "E112", f"on must be of {', '.join(EVENTS)}, found {quoted(event)}", help=hint
            )
    return tuple(event for event in EVENTS if event in events)


def _pings(node: Node) -> dict[str, str]:
    """The URLs by what they are asked for; of a URL alone those that are usual: it, and /start and /fail behind it."""
    if isinstance(node, Scalar):
        url = _url(node, "ping")
        path, mark, query = url.partition("?")
        base, rest = path.rstrip("/"), f"{mark}{query}"
        return {"start": f"{base}/start{rest}", "done": url, "fail": f"{base}/fail{rest}"}
    written = mapping(node, "ping", help=_PING_HELP)
    check_keys(written, PING)
    found = {name: _url(each, name) for name in PING.keys if (each := written.get(name)) is not None}
    if not found:
        raise Fault(written.place, "E132", "ping has no URL", help=_PING_HELP)
    return found


def _url(node: Node, key: str) -> str:
    url = text(node, key, limit=LONGEST)
    try:
        read_url(url)
    except ImproperlyConfigured as error:
        raise Fault(node.place, "E112", f"{key}: {error}", help="write `https://host/path`") from error
    return url
