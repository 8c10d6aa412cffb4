"""The first tasks of every tutorial."""

from celery_project.celery import app


@app.task
def add(x, y):
    return x + y


@app.task
def mul(x, y):
    return x * y


@app.task
def xsum(numbers):
    return sum(numbers)


@app.task
def listed(value):
    return [value]


@app.task
def identity(value):
    return value


@app.task
def divide(x, y):
    return x / y


def main():
    """Sending a task, and its result."""
    result = add.delay(4, 4)
    failed = divide.delay(1, 0)
    error = failed.get(timeout=20, propagate=False)
    return {
        "value": result.get(timeout=20),
        "state": [result.state, result.status, result.ready(), result.successful(), result.failed()],
        "result": [result.result, result.info, result.name, result.args, result.kwargs, result.retries],
        "by name": app.send_task("celery_project.arithmetic.add", (2, 3)).get(timeout=20),
        "error": [repr(error), failed.state, failed.failed(), "ZeroDivisionError" in failed.traceback],
        "called": [add(2, 2), add.name, add.s(2, 2)()],
        "registered": [add.name in app.tasks, app.tasks[add.name].name],
    }
