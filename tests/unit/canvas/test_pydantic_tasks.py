"""Tasks with `pydantic=True`: models in, plain data on the way, models built again where the function runs."""

from __future__ import annotations

from datetime import date

import pytest
from backbeat.canvas import Task
from backbeat.canvas.errors import EncodeError
from pydantic import BaseModel, Field, ValidationInfo, field_validator

from support.eager import Fleet


class Order(BaseModel):
    id: int
    day: date = date(2026, 1, 2)
    note: str | None = Field(default=None, alias="remark")


class Receipt(BaseModel):
    order: int
    day: date


class Seen(BaseModel):
    by: str = ""

    @field_validator("by", mode="before")
    @classmethod
    def note(cls, value: str, info: ValidationInfo) -> str:
        known = info.context or {}
        return f"{value} {known['celery_task_name']} {known['celery_app'].name} {known.get('mine')}"


@pytest.fixture
def fleet():
    return Fleet()


def value(fleet, task, *args, **kwargs):
    handle = task.apply_async(args, kwargs)
    fleet.drain()
    return handle.get(timeout=0)


def test_a_function_gets_models_of_data_and_its_model_comes_back_as_data(fleet):
    seen = []

    @fleet.app.task(name="ship", pydantic=True)
    def ship(order: Order, times: int, also: Order | None = None, *rest: int) -> Receipt:
        seen.append((order, times, also, rest))
        return Receipt(order=order.id, day=order.day)

    found = value(fleet, ship, {"id": "5"}, 2, {"id": 6, "day": "2026-03-04"}, 7)

    assert found == {"order": 5, "day": "2026-01-02"}
    assert seen == [(Order(id=5), 2, Order(id=6, day=date(2026, 3, 4)), (7,))]
    assert ship({"id": 1}, 1) == {"order": 1, "day": "2026-01-02"}


def test_models_are_sent_as_data_where_they_come_back_equal(fleet):
    seen = []

    @fleet.app.task(name="ship", pydantic=True)
    def ship(order: Order, loose=None):
        seen.append(order)

    value(fleet, ship, Order(id=5, day=date(2026, 3, 4)))
    value(fleet, ship, order=Order(id=6))
    with pytest.raises(EncodeError, match="Order"):
        ship.delay({"id": 1}, Order(id=7))  # no parameter says that it is one
    with pytest.raises(EncodeError, match="Order"):
        ship.delay(
            Order(id=1, remark="lost")
        )  # it would come back without its note, which is written by its name
    with pytest.raises(TypeError, match="task ship"):
        ship.delay()

    assert seen == [Order(id=5, day=date(2026, 3, 4)), Order(id=6)]


def test_options_reach_pydantic(fleet):
    @fleet.app.task(
        name="ship", pydantic=True, pydantic_strict=True, pydantic_dump_kwargs={"exclude": {"day"}}
    )
    def ship(order: Order) -> Receipt:
        return Receipt(order=order.id, day=order.day)

    @fleet.app.task(name="look", pydantic=True, pydantic_context={"mine": 1})
    def look(seen: Seen) -> Seen | None:
        return seen

    handle = ship.delay({"id": "5"})
    fleet.drain()

    assert type(handle.get(timeout=0, propagate=False)).__name__ == "ValidationError"
    assert value(fleet, ship, {"id": 5, "day": date(2026, 1, 1)}) == {"order": 5}
    assert value(fleet, look, {"by": "x"}) == {"by": "x look proj 1"}


def test_bound_tasks_classes_and_coroutines(fleet):
    @fleet.app.task(name="bound", pydantic=True, bind=True)
    def bound(self, order: Order) -> Receipt:
        return Receipt(order=order.id, day=order.day)

    @fleet.app.task(name="later", pydantic=True)
    async def later(order: Order) -> Receipt:
        return Receipt(order=order.id, day=order.day)

    class Ship(Task):
        name = "ship"
        pydantic = True

        def run(self, order: Order) -> int:
            return order.id

    ship = fleet.app.register_task(Ship())

    assert [value(fleet, task, Order(id=5)) for task in (bound, later, ship)] == [
        {"order": 5, "day": "2026-01-02"},
        {"order": 5, "day": "2026-01-02"},
        5,
    ]


def test_without_the_option_data_stays_data(fleet):
    plain = fleet.app.task(name="plain")(lambda order: order)

    assert value(fleet, plain, {"id": 5}) == {"id": 5}
    with pytest.raises(EncodeError):
        plain.delay(Order(id=5))
