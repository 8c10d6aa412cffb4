"""Here and now, without a worker."""

from celery import Celery, chain, chord, group
from celery.result import EagerResult

app = Celery("eager", set_as_current=False)
app.conf.update(task_always_eager=True, task_store_eager_result=False)


@app.task
def add(x, y):
    return x + y


@app.task
def xsum(numbers):
    return sum(numbers)


@app.task(bind=True, max_retries=3)
def third_time(self):
    if self.request.retries < 2:
        raise self.retry(countdown=0)
    return [self.request.retries, self.request.is_eager]


@app.task
def fails():
    raise ValueError("here and now")


def main():
    """`apply`, and the setting."""
    result = add.apply((2, 2))
    failed = fails.delay()
    app.conf.task_eager_propagates = True
    try:
        fails.delay()
        raised = None
    except ValueError as error:
        raised = repr(error)
    app.conf.task_eager_propagates = False
    return {
        "apply": [result.get(), result.state, result.successful(), isinstance(result, EagerResult)],
        "setting": add.delay(2, 3).get(),
        "chain": chain(add.s(1, 1), add.s(2)).delay().get(),
        "group": group(add.s(1, 1), add.s(2, 2)).delay().get(),
        "chord": chord([add.s(1, 1), add.s(2, 2)], xsum.s()).delay().get(),
        "retry": third_time.delay().get(),
        "failed": [repr(failed.result), failed.state, failed.failed()],
        "raised": raised,
    }
