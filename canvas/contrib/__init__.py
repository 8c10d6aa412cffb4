"""What Celery brings as extras, under the package that Celery projects import them by."""
