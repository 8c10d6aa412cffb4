"""Panel: the commands of remote control that a worker knows, by name: its own, and those that a project adds.

    @inspect_command(alias="dump_active")
    def active(state, safe=False): ...          a question: its answer is what it returns

    @control_command(args=[("n", int)], signature="[N=1]")
    def pool_grow(state, n=1): ...              an order: it returns ok(text) or nok(text)

`state` is a WorkerState. A command runs in the thread of remote control; what the worker's own thread must do or tell is asked of it by
`state.in_loop(call)`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar, overload

from msgspec import Struct

Handler = Callable[..., Any]
H = TypeVar("H", bound=Handler)
Parameter = tuple[str, Callable[[str], Any]]
"""The name of an argument, and what makes it of a text from the command line."""


class Command(Struct, frozen=True, kw_only=True):
    """One command. `args` are those that the command line takes, in order; `variadic` names one more that takes all others."""

    name: str
    run: Handler
    kind: str
    alias: str | None = None
    args: Sequence[Parameter] = ()
    variadic: str | None = None
    signature: str = ""
    seconds: float = 1.0
    """How long who asks usually waits for answers."""
    hidden: bool = False
    """It is for other programs, and stands in no list."""

    @property
    def help(self) -> str:
        """What it does, in one line."""
        return (self.run.__doc__ or "").strip().partition("\n")[0]


class Panel:
    """Commands by name."""

    def __init__(self) -> None:
        self._commands: dict[str, Command] = {}

    def get(self, name: str) -> Command | None:
        """The command with this name, or with this alias."""
        return self._commands.get(name)

    def of_kind(self, kind: str) -> list[Command]:
        """All of a kind ("inspect" or "control") that are to be shown, in alphabetical order."""
        found = {command.name: command for command in self._commands.values()}
        return [found[name] for name in sorted(found) if found[name].kind == kind and not found[name].hidden]

    def add(self, command: Command) -> None:
        """Know it; it takes the place of one of the same name."""
        self._commands[command.name] = command
        if command.alias:
            self._commands[command.alias] = command


panel = Panel()
"""That of this process."""


SILENT = object()
"""What a command returns to which there is no answer; None is one."""


def ok(text: Any) -> dict[str, Any]:
    """What an order answers that is carried out."""
    return {"ok": text}


def nok(text: Any) -> dict[str, Any]:
    """What an order answers that cannot be."""
    return {"error": text}


@overload
def inspect_command(run: H, /) -> H: ...
@overload
def inspect_command(**known: Any) -> Callable[[H], H]: ...
def inspect_command(run: Any = None, /, **known: Any) -> Any:
    """Add a question: `name`, `alias`, `args`, `variadic`, `signature`, `default_timeout` (seconds), `visible`."""
    return _adding("inspect", run, known)


@overload
def control_command(run: H, /) -> H: ...
@overload
def control_command(**known: Any) -> Callable[[H], H]: ...
def control_command(run: Any = None, /, **known: Any) -> Any:
    """Add an order; the arguments are those of `inspect_command`."""
    return _adding("control", run, known)


def _adding(kind: str, run: Handler | None, known: dict[str, Any]) -> Any:
    def add(run: Handler) -> Handler:
        panel.add(
            Command(
                name=known.get("name") or run.__name__,
                run=run,
                kind=kind,
                alias=known.get("alias"),
                args=tuple(known.get("args") or ()),
                variadic=known.get("variadic"),
                signature=known.get("signature") or "",
                seconds=float(known.get("default_timeout") or 1.0),
                hidden=not known.get("visible", True),
            )
        )
        return run

    return add if run is None else add(run)
