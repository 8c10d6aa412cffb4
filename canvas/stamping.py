"""Stamping: how signatures get their stamps: by name and value, or by a visitor that is asked at each signature of a canvas.

What a hook returns is a map. Those of its keys that its `stamped_headers` names are stamps, by default all; of the others what is an option is
set as one, and the rest are plain headers of the message. What an outer signature says of a name holds for all inside it, as in Celery 5.7.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from .errors import ImproperlyConfigured
from .options import KNOWN, check_stamp_names
from .stamp import STAMPED, stamp_keys, with_stamps


class StampingVisitor(ABC):
    """Says what each signature of a canvas is stamped with. `headers` are what was said further out."""

    @abstractmethod
    def on_signature(self, sig: Any, **headers: Any) -> Mapping[str, Any] | None:
        """A task's signature; also that of a link, of a step, of a member, of a body."""

    def on_group_start(self, group: Any, **headers: Any) -> Mapping[str, Any] | None:  # noqa: ARG002 - for subclasses
        """A group, before its members: what it returns holds for them."""
        return None

    def on_group_end(self, group: Any, **headers: Any) -> None:  # noqa: B027 - for subclasses that want it
        """A group, after its members."""

    def on_chain_start(self, chain: Any, **headers: Any) -> Mapping[str, Any] | None:  # noqa: ARG002 - likewise
        """A chain, before its steps: what it returns holds for them."""
        return None

    def on_chain_end(self, chain: Any, **headers: Any) -> None:  # noqa: B027 - likewise
        """A chain, after its steps."""

    def on_chord_header_start(self, sig: Any, **headers: Any) -> Mapping[str, Any] | None:
        """A chord, before the members of its header: what it returns holds for them, and for its body. By default what its group says."""
        return self.on_group_start(sig.tasks, **headers)

    def on_chord_header_end(self, sig: Any, **headers: Any) -> None:
        """A chord, after the members of its header. By default its group is told."""
        self.on_group_end(sig.tasks, **headers)

    def on_chord_body(self, sig: Any, **headers: Any) -> Mapping[str, Any] | None:  # noqa: ARG002 - likewise
        """A chord, before its body: what it returns holds for that."""
        return None

    def on_callback(self, callback: Any, **headers: Any) -> Mapping[str, Any] | None:  # noqa: ARG002 - likewise
        """A link, before it is stamped itself: what it returns holds for it."""
        return None

    def on_errback(self, errback: Any, **headers: Any) -> Mapping[str, Any] | None:  # noqa: ARG002 - likewise
        """An error callback, likewise."""
        return None


def asked(visitor: StampingVisitor | None, hook: str, sig: Any, headers: Mapping[str, Any]) -> dict[str, Any]:
    """What the visitor says to `sig`, with the names of its stamps. Raises TypeError for what is no map."""
    said = None if visitor is None else getattr(visitor, hook)(sig, **headers)
    if said is None:
        return {STAMPED: []}
    if not isinstance(said, Mapping):
        raise TypeError(f"{type(visitor).__name__}.{hook} must return a map or None, found {said!r:.80}")
    return named(said)


def named(headers: Mapping[str, Any]) -> dict[str, Any]:
    """`headers` with the names of the stamps among them: all, unless they say which."""
    names = headers.get(STAMPED)
    if names is None:
        names = [name for name in headers if name != STAMPED]
    return {**headers, STAMPED: [names] if isinstance(names, str) else list(names)}


def merged(outer: Mapping[str, Any], inner: Mapping[str, Any], *, append: bool = False) -> dict[str, Any]:
    """Both: of a name that both have the outer value, with `append` both values as a list."""
    outer, inner = named(outer), named(inner)
    values = {**inner, **outer}
    for name in inner.keys() & outer.keys() if append else ():
        values[name] = [*_listed(outer[name]), *_listed(inner[name])]
    return {**values, STAMPED: list(dict.fromkeys([*outer[STAMPED], *inner[STAMPED]]))}


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple | set | frozenset) else [value]


def options_with(options: Mapping[str, Any], headers: Mapping[str, Any], *, append: bool) -> dict[str, Any]:
    """The options of a signature, stamped by `headers`. Raises ImproperlyConfigured for a stamp that is called like an option."""
    new = named(headers)
    own = {name: options[name] for name in options.get(STAMPED) or () if name in options}
    both = merged(new, own, append=append)
    names = both.pop(STAMPED)
    stamps = {name: _plain(both[name]) for name in names if name in both}
    check_stamp_names(stamps)
    others = {name: value for name, value in both.items() if name not in stamps}
    rest = {name: value for name, value in options.items() if name not in own and name != STAMPED}
    rest |= {name: value for name, value in others.items() if name in KNOWN}
    plain = {name: value for name, value in others.items() if name not in KNOWN}
    if plain:
        rest["headers"] = {**(rest.get("headers") or {}), **plain}
    return with_stamps(rest, stamps)


def _plain(value: Any) -> Any:
    return sorted(value, key=str) if isinstance(value, set | frozenset) else value


def revoked_stamps(headers: Mapping[str, Any] | Sequence[str]) -> list[str]:
    """The keys of stamps that are to be revoked: of a map, or of texts "name=value". Raises ImproperlyConfigured for what is neither."""
    if isinstance(headers, str):
        headers = [headers]
    if not isinstance(headers, Mapping):
        pairs = [text.partition("=") if isinstance(text, str) else (text, "", "") for text in headers]
        if wrong := [name for name, equals, _ in pairs if not equals]:
            raise ImproperlyConfigured(
                f"stamps are a map, or texts like 'name=value', found {wrong[0]!r:.80}"
            )
        found: dict[str, list[str]] = {}
        for name, _, value in pairs:
            found.setdefault(name, []).append(value)
        headers = found
    keys = list(stamp_keys({name: _plain(value) for name, value in headers.items()}))
    if not keys:
        raise ImproperlyConfigured("no stamp is named: write {'name': value}, as nothing would be revoked")
    return keys
