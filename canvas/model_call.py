"""ModelCall: the function of a task with `pydantic=True`: it gets models where its parameters say so, and gives back plain data.

What is validated is an argument whose annotation is a pydantic model, or a model or None; what is dumped is a result that is an instance of the
model that the function says to return. All else passes as it is. Pydantic is imported when the first such task is made.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any

from .errors import ImproperlyConfigured


class ModelCall:
    """`run`, called with data. `strict` and `context` are for validation, `dump_kwargs` for `model_dump`, where mode is "json" unless it says otherwise.

    Validators find the app and the task's name in their context as `celery_app` and `celery_task_name`, besides what `context` has.
    """

    def __init__(
        self,
        run: Callable[..., Any],
        name: str,
        app_of: Callable[[], Any],
        *,
        strict: bool = False,
        context: Mapping[str, Any] | None = None,
        dump_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        self.__wrapped__ = run
        self.__name__ = getattr(run, "__name__", name)
        self.__doc__ = run.__doc__
        self._name = name
        self._app_of = app_of
        self._strict = strict
        self._context = dict(context or {})
        self._dump_kwargs = {"mode": "json", **(dump_kwargs or {})}
        self._base = _base_model(name)
        self._signature = inspect.signature(run)
        hints = _hints(run)
        self._models = {
            parameter: model
            for parameter in self._signature.parameters
            if (model := self._model(hints.get(parameter))) is not None
        }
        self._returned = self._model(hints.get("return"))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        bound = self._signature.bind(*args, **kwargs)
        for parameter, model in self._models.items():
            if bound.arguments.get(parameter) is not None:
                bound.arguments[parameter] = self._validated(model, bound.arguments[parameter])
        result = self.__wrapped__(*bound.args, **bound.kwargs)
        return self._awaited(result) if inspect.iscoroutine(result) else self._dumped(result)

    def dumped(self, args: list[Any], kwargs: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """What a caller passes, with models as data where the function gets an equal model back from it."""
        if not any(isinstance(value, self._base) for value in (*args, *kwargs.values())):
            return args, kwargs
        try:
            bound = self._signature.bind(*args, **kwargs)
        except TypeError:
            return args, kwargs  # for whoever checks arguments
        for parameter, model in self._models.items():
            value = bound.arguments.get(parameter)
            if isinstance(value, self._base):
                bound.arguments[parameter] = self._sent(model, value)
        return [*bound.args], dict(bound.kwargs)

    def _sent(self, model: Any, value: Any) -> Any:
        try:
            data = value.model_dump(**self._dump_kwargs)
            return data if self._validated(model, data) == value else value
        except Exception:  # noqa: BLE001 - a validator may need what only a worker has; then the value is refused as any other
            return value

    def _validated(self, model: Any, value: Any) -> Any:
        context = {**self._context, "celery_app": self._app_of(), "celery_task_name": self._name}
        return model.model_validate(value, strict=self._strict, context=context)

    def _dumped(self, result: Any) -> Any:
        if self._returned is not None and isinstance(result, self._returned):
            return result.model_dump(**self._dump_kwargs)
        return result

    async def _awaited(self, result: Any) -> Any:
        return self._dumped(await result)

    def _model(self, hint: Any) -> Any:
        """The model that an annotation means, if it means one, perhaps or None."""
        if typing.get_origin(hint) in (typing.Union, types.UnionType):
            others = [each for each in typing.get_args(hint) if each is not type(None)]
            hint = others[0] if len(others) == 1 else None
        return hint if isinstance(hint, type) and issubclass(hint, self._base) else None


def _base_model(name: str) -> Any:
    try:
        from pydantic import BaseModel
    except ImportError as error:
        raise ImproperlyConfigured(
            f"task {name}: pydantic=True needs pydantic: pip install pydantic"
        ) from error
    return BaseModel


def _hints(run: Callable[..., Any]) -> dict[str, Any]:
    """Annotations as objects; where a name in them cannot be found, as they are written."""
    try:
        return typing.get_type_hints(run)
    except (NameError, AttributeError, TypeError):
        return dict(getattr(run, "__annotations__", {}))
