"""Webhook: who receives what backbeat posts checks it with `verify`; the rest of this package sends it."""

from .signed import SignatureMismatch, verify

__all__ = ["SignatureMismatch", "verify"]
