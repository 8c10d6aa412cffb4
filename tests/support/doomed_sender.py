"""A program whose children send in a transaction, each killed at another point of it: python -m support.doomed_sender DATABASE BROKER BACKEND POINTS

A point is a line of backbeat.canvas that is about to run between the begin of the transaction and the end of all that its commit causes,
or a moment just before or after SQLAlchemy hands a statement or a commit to the driver. One child counts them; then there is a child for
each of so many of them: those around a commit, the last ones, and of both kinds as many as are wanted, spread evenly.
Child number n writes row n into the table `mine`, and sends the task `call-n` and the chord `chord-n`.
"""

from __future__ import annotations

import gc
import itertools
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import sqlalchemy.engine.default
from backbeat import canvas
from backbeat.canvas import App, chord
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

OURS = str(Path(canvas.__file__).parent)
DRIVER = sqlalchemy.engine.default.__file__
LAST = 15
HAND_OVER = ("do_execute", "do_executemany", "do_commit", "do_rollback", "do_begin")


def make_app(broker: str, backend: str | None = None, **settings: Any) -> App:
    """Where the tasks are known."""
    app = App("doomed", broker=broker, backend=backend, set_as_current=False, **settings)

    @app.task(name="double")
    def double(value: int) -> int:
        return 2 * value

    @app.task(name="total")
    def total(values: list[int]) -> int:
        return sum(values)

    return app


app = make_app("memory://doomed")
"""For workers, which import it by name."""


def send_in_transaction(app: App, database: str, number: int) -> None:
    """What is interrupted."""
    engine = create_engine(database)
    double, total = app.tasks["double"], app.tasks["total"]
    with Session(engine) as session, app.transaction(session):
        session.execute(text("INSERT INTO mine (number) VALUES (:number)"), {"number": number})
        double.apply_async([number], task_id=f"call-{number}")
        chord([double.s(number), double.s(1)], total.s()).apply_async(task_id=f"chord-{number}")
        session.commit()


def forked(work: Callable[[], None]) -> int:
    """Do it in a fork; returns its pid."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        finally:
            os._exit(0 if sys.exc_info()[0] is None else 1)
    return pid


def end_of(pid: int) -> int:
    """What ended a child, as os.waitstatus_to_exitcode."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def counting(reach: Callable[[int, str], None], work: Callable[[], None]) -> None:
    """Call `reach` with the number of each point that `work` comes to, and where it is: "do_commit" or so at the driver's, else "line"."""
    numbers = itertools.count()

    def on_line(frame: FrameType, event: str, _: Any) -> Any:
        is_driver = frame.f_code.co_filename == DRIVER
        if event == "line" or (event == "return" and is_driver):
            reach(next(numbers), frame.f_code.co_name if is_driver else "line")
        return on_line

    def on_call(frame: FrameType, event: str, _: Any) -> Any:
        name = frame.f_code.co_filename
        if name.startswith(OURS) or (name == DRIVER and frame.f_code.co_name in HAND_OVER):
            return on_line
        return None

    sys.settrace(on_call)
    work()
    sys.settrace(None)


def main() -> None:
    database, broker, backend, points = *sys.argv[1:4], int(sys.argv[4])
    ours = make_app(broker, backend, outbox_url=database)
    # what is loaded once is loaded here, so that the children begin where a program is that has been running
    assert end_of(forked(lambda: send_in_transaction(ours, database, -2))) == 0
    send_in_transaction(ours, database, -1)
    ours.close()
    gc.collect()
    gc.freeze()  # forks are cheaper when nothing that was there is touched

    living: list[tuple[int, int, int]] = []
    for number, point in enumerate(chosen(count_points(ours, database), points)):

        def reach(at: int, _: str, point: int = point) -> None:
            if at == point:
                os.kill(os.getpid(), signal.SIGKILL)

        def die(number: int = number, reach: Callable[[int, str], None] = reach) -> None:
            counting(reach, lambda: send_in_transaction(ours, database, number))

        living.append((number, point, forked(die)))
        if len(living) == (1 if database.startswith("sqlite") else 2):  # SQLite has one writer
            bury(living)
    bury(living)


def bury(living: list[tuple[int, int, int]]) -> None:
    """Tell how the children ended."""
    for number, point, pid in living:
        print("child", number, point, end_of(pid), flush=True)
    living.clear()


def count_points(app: App, database: str) -> list[str]:
    """All points, each by where it is."""
    reader, writer = os.pipe()

    def count() -> None:
        reached: list[str] = []
        counting(lambda _, where: reached.append(where), lambda: send_in_transaction(app, database, -3))
        with os.fdopen(writer, "w") as out:
            out.write("\n".join(reached))

    pid = forked(count)
    os.close(writer)
    with os.fdopen(reader) as counted:
        found = counted.read().splitlines()
    assert end_of(pid) == 0
    return found


def chosen(points: list[str], wanted: int) -> list[int]:
    """Numbers of points, in order."""
    always = {number for number, where in enumerate(points) if where == "do_commit"}
    always |= set(range(len(points) - LAST, len(points)))
    left = [number for number in range(len(points)) if number not in always]
    driver = [number for number in left if points[number] != "line"]
    ours = [number for number in left if points[number] == "line"]
    picked = always | spread(driver, (wanted - len(always)) // 2)
    return sorted(picked | spread(ours, wanted - len(picked)))


def spread(numbers: list[int], wanted: int) -> set[int]:
    """So many of them, evenly, or all if there are fewer."""
    if len(numbers) <= wanted:
        return set(numbers)
    return {numbers[number * len(numbers) // wanted] for number in range(wanted)}


if __name__ == "__main__":
    main()
