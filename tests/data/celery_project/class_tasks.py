"""Classes of tasks."""

from celery import Task, group

from celery_project.celery import app
from celery_project.notes import note, noted


class Counting(Task):
    """A base with something that is made once for each process, and methods that are told of each run."""

    _opened = None
    max_retries = 7

    @property
    def opened(self):
        if self._opened is None:
            self._opened = ["open"]
        return self._opened

    def before_start(self, task_id, args, kwargs):
        note("hooks", ["before_start", list(args), kwargs])

    def on_success(self, retval, task_id, args, kwargs):
        note("hooks", ["on_success", retval])

    def on_failure(self, exc, task_id, args, kwargs, einfo):
        note("hooks", ["on_failure", repr(exc), "KeyError" in str(einfo)])

    def after_return(self, status, retval, task_id, args, kwargs, einfo):
        note("hooks", ["after_return", status])


@app.task(base=Counting, bind=True)
def with_base(self, x):
    return [self.opened[0], x, self.max_retries, isinstance(self, Counting)]


@app.task(base=Counting)
def failing():
    raise KeyError("none")


class Power(Task):
    """A task that is written as a class."""

    name = "celery_project.power"

    def __init__(self):
        self.base = 2

    def run(self, exponent):
        return self.base**exponent


app.register_task(Power())


def main():
    """By base, by class."""
    power = app.tasks["celery_project.power"]
    failed = failing.delay().get(timeout=20, propagate=False)
    return {
        "base": with_base.delay(3).get(timeout=20),
        "class": [power.delay(10).get(timeout=20), group(power.s(1), power.s(2)).delay().get(timeout=20)],
        "called": power(3),
        "failed": repr(failed),
        "hooks": noted("hooks", 6),
    }
