"""Compression: documents of key-value stores as Celery compresses them: NUL, "celery-compressed", NUL, MIME type, NUL, bytes.

What is written is chosen by `result_compression`; what is read says itself how it was compressed. In a column of text it is the same in base64.
"""

from __future__ import annotations

import binascii
import bz2
import lzma
import zlib
from collections.abc import Callable
from typing import Any

from ..errors import DecodeError, ImproperlyConfigured

MAGIC = b"\x00celery-compressed\x00"
TEXT_MAGIC = "celery-compressed,base64:"
"""No document begins so: they are JSON objects."""
_METHODS = {
    "gzip": "application/x-gzip",
    "zlib": "application/x-gzip",
    "bz2": "application/x-bz2",
    "bzip": "application/x-bz2",
    "bzip2": "application/x-bz2",
    "lzma": "application/x-lzma",
    "xz": "application/x-lzma",
}
"""Names of kombu's, and bz2. What it calls gzip is a zlib stream."""
_PACK: dict[str, Callable[[bytes], bytes]] = {
    "application/x-gzip": zlib.compress,
    "application/x-bz2": bz2.compress,
    "application/x-lzma": lzma.compress,
}
_UNPACK: dict[str, Callable[[], Any]] = {
    "application/x-gzip": zlib.decompressobj,
    "application/x-bz2": bz2.BZ2Decompressor,
    "application/x-lzma": lzma.LZMADecompressor,
}
LARGEST = 64 * 1024 * 1024
"""Bytes of a document that is unpacked: a few kilobytes may hold gigabytes of nothing."""


def method_of(name: Any) -> str | None:
    """The setting `result_compression`, checked. Raises ImproperlyConfigured."""
    if not name:
        return None
    if name not in _METHODS:
        raise ImproperlyConfigured(
            f"result_compression = {name!r} is not known; known are {', '.join(_METHODS)}"
        )
    return str(name)


def compressed(text: str, method: str) -> bytes | None:
    """The document, compressed; None if that does not make it shorter."""
    mime, raw = _METHODS[method], text.encode("utf-8", "surrogatepass")
    packed = MAGIC + mime.encode() + b"\x00" + _PACK[mime](raw)
    return packed if len(packed) < len(raw) else None


def compressed_text(text: str, method: str) -> str:
    """The document as text, compressed if that makes it shorter."""
    packed = compressed(text, method)
    stored = text if packed is None else TEXT_MAGIC + binascii.b2a_base64(packed, newline=False).decode()
    return min(stored, text, key=len)


def plain_text(stored: str) -> str:
    """The inverse of `compressed_text`. Raises DecodeError."""
    if not stored.startswith(TEXT_MAGIC):
        return stored
    try:
        return plain(binascii.a2b_base64(stored[len(TEXT_MAGIC) :])).decode("utf-8", "surrogatepass")
    except ValueError as error:
        raise DecodeError(f"a compressed result cannot be read: {error!r}") from error


def plain(raw: bytes, largest: int = LARGEST) -> bytes:
    """The document as it was before, of `largest` bytes at most; one that is not compressed as it is. Raises DecodeError."""
    if not raw.startswith(MAGIC):
        return raw
    mime, _, body = raw[len(MAGIC) :].partition(b"\x00")
    try:
        if (make := _UNPACK.get(mime.decode())) is None:
            return _kombu(mime.decode())(body)
        return _unpacked(make(), body, largest)
    except (ValueError, OSError, EOFError, LookupError, zlib.error, lzma.LZMAError) as error:
        raise DecodeError(f"a result compressed as {mime!r:.100} cannot be read: {error!r}") from error


def _unpacked(unpacker: Any, body: bytes, largest: int) -> bytes:
    found: bytes = unpacker.decompress(body, largest + 1)
    if len(found) > largest:
        raise ValueError(f"it holds more than {largest} bytes")
    if not unpacker.eof:
        raise EOFError("it is cut off")
    return found


def _kombu(mime: str) -> Callable[[bytes], bytes]:
    """What only kombu knows, where the package for it is installed: brotli, zstd."""
    from kombu.compression import get_decoder  # rare, and it takes 50 ms

    unpack: Callable[[bytes], bytes] = get_decoder(mime)  # type: ignore[no-untyped-call]  # kombu has no types
    return unpack
