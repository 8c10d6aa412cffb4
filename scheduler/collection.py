"""Collection: Python's search for cyclic garbage is put off while many entries are loaded, and then passes over them.

A hundred thousand entries are a million objects that stay. Searching them again and again while they come takes a quarter of the time
to load them, and each full search later would stop the loop for as long as a second; there is nothing to be found in them.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def long_lived() -> Iterator[None]:
    """What is made inside is left alone by collections from then on. Its memory is given back as always when nobody refers to it."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()
