"""Settings of the project, under Celery's lower-case names."""

import os

broker_url = os.environ["PROJECT_BROKER"]
result_backend = os.environ["PROJECT_BROKER"]
broker_connection_retry_on_startup = True
result_extended = True
timezone = "Europe/Berlin"
imports = (
    "celery_project.arithmetic",
    *(
        f"celery_project.{name}"
        for name in (
            "aborting",
            "bound",
            "callbacks",
            "class_tasks",
            "errbacks",
            "groups",
            "growing",
            "periodic",
            "progress",
            "replacing",
            "retries",
            "shared",
            "signalled",
            "stamping",
            "timing",
        )
    ),
)
