"""The modules that Celery projects of Django's import."""
