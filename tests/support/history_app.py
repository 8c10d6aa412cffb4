"""The app of the tests of the history: a worker's child imports it by name; whoever runs it sets its broker and its backend."""

from __future__ import annotations

from backbeat.canvas import App

app = App("shop")
NAME = "support.history_app"


@app.task(name="shop.add")
def add(x, y):
    return x + y


@app.task(name="shop.fail")
def fail(text):
    raise ValueError(text)


@app.task(name="shop.again", bind=True, max_retries=1)
def again(task):
    raise task.retry(countdown=0, exc=OSError("away"))


@app.task(name="shop.total")
def total(values):
    return sum(values)
