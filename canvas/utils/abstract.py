"""What can be called as a task or a signature, for `isinstance` in Celery projects."""

from ..signature import Signature as CallableSignature
from ..task import Task as CallableTask

__all__ = ["CallableSignature", "CallableTask"]
