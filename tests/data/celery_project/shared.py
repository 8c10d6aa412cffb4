"""Tasks of a library, which has no app."""

from celery import chain, current_app, shared_task

from celery_project.arithmetic import add
from celery_project.celery import app


@shared_task
def doubled(x):
    return 2 * x


@shared_task(bind=True, name="shared.named", max_retries=1)
def named(self, x):
    return [self.name, x, self.app.main]


def main():
    """They belong to the app of the project."""
    return {
        "sent": doubled.delay(4).get(timeout=20),
        "named": named.delay(1).get(timeout=20),
        "composed": chain(add.s(1, 1), doubled.s()).delay().get(timeout=20),
        "registered": [doubled.name in app.tasks, "shared.named" in app.tasks],
        "current": current_app.main,
        "called": doubled(3),
    }
