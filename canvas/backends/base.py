"""The class of `app.backend`, for annotations. It is one for all stores: projects do not write backends of their own (see results/base.py)."""

from ..backend import Backend

BaseBackend = Backend

__all__ = ["Backend", "BaseBackend"]
