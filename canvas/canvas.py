"""Canvas: signatures and what is made of them, under the module that Celery projects import them by."""

from .compose.chain import chain
from .compose.chord import chord
from .compose.group import group
from .mapping import chunks, xmap, xstarmap
from .signature import Signature, maybe_signature, signature, subtask
from .stamping import StampingVisitor

_chain = chain
_chord = chord

__all__ = [
    "Signature",
    "StampingVisitor",
    "_chain",
    "_chord",
    "chain",
    "chord",
    "chunks",
    "group",
    "maybe_signature",
    "signature",
    "subtask",
    "xmap",
    "xstarmap",
]
