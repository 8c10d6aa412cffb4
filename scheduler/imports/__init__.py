"""Importers: the schedules of Celery, django-celery-beat, RedBeat and crontab files as a schedules.yaml, with every difference said.

Each source gives a `Haul` (haul.py); page.py writes it as a file that the loader has read back, and as a report. Called by `backbeat import`.
"""
