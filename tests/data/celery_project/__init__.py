"""A project as Celery's documentation teaches to write one: each module has tasks and a `main` that composes and returns values.

It is run twice (tests/interop/test_celery_project.py): as it is, by a real Celery, and by backbeat with only the import root changed.
"""
