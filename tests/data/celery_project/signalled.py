"""Functions that hear of what happens."""

from celery.signals import (
    after_task_publish,
    before_task_publish,
    task_failure,
    task_postrun,
    task_prerun,
    task_retry,
    task_success,
)

from celery_project.celery import app
from celery_project.notes import note, noted


@app.task(bind=True)
def watched(self, x):
    return self.request.get("tenant")


@app.task(bind=True, default_retry_delay=0)
def breaks(self):
    if self.request.retries == 0:
        raise self.retry()
    raise LookupError("broken")


@before_task_publish.connect(sender="celery_project.signalled.watched")
def add_header(headers=None, body=None, **kwargs):
    headers["tenant"] = "acme"
    note("publish", ["before", list(body[0])])


@after_task_publish.connect(sender="celery_project.signalled.watched")
def published(sender=None, headers=None, **kwargs):
    note("publish", ["after", sender])


@task_prerun.connect(sender=watched)
def before(sender=None, task_id=None, args=None, **kwargs):
    note("run", ["prerun", sender.name, list(args)])


@task_postrun.connect(sender=watched)
def after(sender=None, retval=None, state=None, **kwargs):
    note("run", ["postrun", retval, state])


@task_success.connect(sender=watched)
def succeeded(sender=None, result=None, **kwargs):
    note("run", ["success", result])


@task_failure.connect(sender=breaks)
def failed(sender=None, exception=None, **kwargs):
    note("failures", ["failure", repr(exception)])


@task_retry.connect(sender=breaks)
def tried_again(sender=None, **kwargs):
    note("failures", ["retry", sender.name])


def main():
    """Around a message, around a run."""
    value = watched.delay(1).get(timeout=20)
    breaks.delay().get(timeout=20, propagate=False)
    return {
        "value": value,
        "publish": noted("publish", 2),
        "run": noted("run", 3),
        "failures": noted("failures", 2),
    }
