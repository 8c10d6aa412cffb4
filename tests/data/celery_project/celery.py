"""The app."""

from celery import Celery

app = Celery("celery_project")
app.config_from_object("celery_project.settings")
