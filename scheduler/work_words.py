"""WorkWords: what an entry sends, in words: a task, or a canvas with its steps.

PURE. `work_text` is one short line, for tables and logs; `work_lines` is all of it, a line for each task, for people who look at one
entry or at what has become different. Text of strangers comes here, too (an importer's, another version's): it is shown as far as
it can be understood.

    chain of 3 (workflow import-feed)
      > shop.fetch_feed
      > group of 2
        | shop.index(shard=0)
        | shop.index(shard=1)
      > shop.publish
      on error: ops.alert
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..canvas.errors import ImproperlyConfigured
from ..canvas.webhook.ending_urls import OPTIONS as ENDING_URLS
from ..canvas.webhook.url import read_url

_CALLBACKS = {
    "link": "on success",
    "on_success": "on success",
    "link_error": "on error",
    "on_failure": "on failure",
    "on_done": "when done",
}
_URLS = frozenset(ENDING_URLS)
_AFTER, _BESIDE = ">", "|"


def work_text(what: Mapping[str, Any]) -> str:
    """A task's name; or "chain of 3", "group of 10", "chord of 4"; with the workflow's name, where it has one."""
    kind, kwargs = what.get("subtask_type"), what.get("kwargs")
    name = what.get("workflow")
    named = f" (workflow {name})" if name else ""
    if kind not in ("chain", "group", "chord") or not isinstance(kwargs, Mapping):
        return _printable(f"{what.get('task', '')}{named}")
    parts = _header(kwargs) if kind == "chord" else _signatures(kwargs.get("tasks"))
    return _printable(f"{kind} of {len(parts)}{named}")


def work_lines(what: Mapping[str, Any]) -> list[str]:
    """All of it: what it is, then its parts and callbacks, each two spaces further in than what it belongs to."""
    return [_head(what), *(f"  {line}" for line in _inside(what))]


def _head(what: Mapping[str, Any]) -> str:
    words = work_text(what)
    if what.get("subtask_type") is None:
        args, kwargs = what.get("args") or (), what.get("kwargs") or {}
        given = [*map(_value, args), *(f"{key}={_value(kwargs[key])}" for key in kwargs)]
        words = f"{what.get('task', '')}({', '.join(given)})" if given else words
        if given and what.get("workflow"):
            words += f" (workflow {what['workflow']})"
    options = {**_options_of_header(what), **(what.get("options") or {})}
    said = [f"{key} {_value(options[key])}" for key in options if key not in _CALLBACKS and key not in _URLS]
    if what.get("immutable"):
        said.append("immutable")
    return _printable(f"{words}  [{', '.join(said)}]" if said else words)


def _inside(what: Mapping[str, Any]) -> Iterator[str]:
    kwargs = what.get("kwargs")
    if what.get("subtask_type") is not None and isinstance(kwargs, Mapping):
        match what.get("subtask_type"):
            case "chain":
                yield from _marked(_AFTER, _signatures(kwargs.get("tasks")))
            case "group":
                yield from _marked(_BESIDE, _signatures(kwargs.get("tasks")))
            case "chord":
                yield from _marked(_BESIDE, _header(kwargs))
                yield from _marked(_AFTER, _signatures(kwargs.get("body")))
            case _:
                yield _value(kwargs)
    options = what.get("options") or {}
    for option, words in _CALLBACKS.items():
        yield from _marked(f"{words}:", _signatures(options.get(option)))
    if isinstance(url := options.get("on_done_url"), str):
        yield _printable(f"when done: posted to {place_of(url)}")
    if isinstance(pings := options.get("ping"), Mapping):
        places = {name: place_of(url) for name, url in pings.items() if isinstance(url, str)}
        yield _printable(
            f"when done: asks for {', '.join(f'{place} ({name})' for name, place in places.items())}"
        )


def place_of(url: str) -> str:
    """An address without its path, which may be a secret."""
    try:
        return read_url(url).place
    except ImproperlyConfigured:
        return "no URL"


def _marked(mark: str, signatures: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    for each in signatures:
        head, *rest = work_lines(each)
        yield f"{mark} {head}"
        yield from rest


def _header(kwargs: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The members of a chord: Celery writes a list of them, or a group."""
    header = kwargs.get("header")
    inner = header.get("kwargs") if isinstance(header, Mapping) else None
    return _signatures(inner.get("tasks") if isinstance(inner, Mapping) else header)


def _options_of_header(what: Mapping[str, Any]) -> Mapping[str, Any]:
    """Those of a chord's header where it is a group: its failure policy."""
    kwargs = what.get("kwargs")
    header = kwargs.get("header") if isinstance(kwargs, Mapping) else None
    options = header.get("options") if isinstance(header, Mapping) else None
    return options if isinstance(options, Mapping) else {}


def _signatures(value: Any) -> list[Mapping[str, Any]]:
    """One signature, or a list of them."""
    if isinstance(value, Mapping):
        return [value]
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list | tuple) else []


def _printable(text: str) -> str:
    """Text for a terminal: what a store can hold must not move the cursor."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def _value(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=repr)
