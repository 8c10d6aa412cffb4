"""Node: a parsed YAML value that still knows where it was written.

PURE data: the tree between `document` (text to nodes) and the readers (nodes to entries). Containers know how many nodes
and levels they hold with aliases expanded, so that a bomb is refused before anybody walks it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from .scalar import ScalarValue
from .source import Place


@dataclass(frozen=True, slots=True, eq=False)
class Scalar:
    """A text, number, boolean or null; `text` is what was written, without quotes."""

    place: Place
    value: ScalarValue
    text: str

    @property
    def size(self) -> int:
        return 1

    @property
    def height(self) -> int:
        return 0


@dataclass(frozen=True, slots=True, eq=False)
class Sequence:
    """A list."""

    place: Place
    items: tuple[Node, ...] = ()
    size: int = 1
    height: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """A key and its value."""

    key: Scalar
    value: Node


@dataclass(frozen=True, slots=True, eq=False)
class Mapping:
    """A mapping with text keys, in the order of the file; of a repeated key the first stands."""

    place: Place
    pairs: dict[str, Pair] = field(default_factory=dict)
    size: int = 1
    height: int = 1

    def get(self, key: str) -> Node | None:
        """The value of `key`; None when it is absent or null: both mean "not set"."""
        pair = self.pairs.get(key)
        return None if pair is None or is_null(pair.value) else pair.value


Node = Scalar | Sequence | Mapping


def is_null(node: Node) -> bool:
    """True for an empty value, `null` and `~`."""
    return isinstance(node, Scalar) and node.value is None


def shape(node: Node) -> str:
    """What a node is, in the words of messages."""
    match node:
        case Mapping():
            return "a mapping"
        case Sequence():
            return "a list"
        case Scalar(value=None):
            return "nothing"
        case Scalar(value=str()):
            return "text"
        case Scalar(value=bool()):
            return "true or false"
        case Scalar():
            return "a number"
