"""Assets: the files of static/, each under a name with a hash of what is in it, so that browsers keep them for good.

`vendored.json` there says which of them others wrote, and where they are from.
"""

from __future__ import annotations

import gzip
import hashlib
from importlib.resources import files

from msgspec import Struct

KINDS = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}


class Asset(Struct, frozen=True, kw_only=True):
    """`url` is where it is served; `packed` is the same as `body`, for browsers that unpack gzip."""

    url: str
    kind: str
    body: bytes
    packed: bytes


class Assets:
    """Read once, when it is made."""

    def __init__(self) -> None:
        self._by_name: dict[str, Asset] = {}
        for file in files(__package__).joinpath("static").iterdir():
            stem, _, ending = file.name.rpartition(".")
            if ending in KINDS:
                body = file.read_bytes()
                digest = hashlib.sha256(body).hexdigest()[:12]
                self._by_name[file.name] = Asset(
                    url=f"/static/{stem}.{digest}.{ending}",
                    kind=KINDS[ending],
                    body=body,
                    packed=gzip.compress(body, mtime=0),
                )
        self._by_url = {asset.url: asset for asset in self._by_name.values()}

    def url(self, name: str) -> str:
        """Where the file `name` is served. Raises KeyError for none of ours."""
        return self._by_name[name].url

    def at(self, url: str) -> Asset | None:
        """What is served there."""
        return self._by_url.get(url)
