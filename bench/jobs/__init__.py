"""Jobs: the same task that does nothing, once for each of the systems that are compared. Each file is a program for senders and a module for workers;
none imports anything of the others: those of the peers run in the peers' environment, and celery_jobs.py in both.
"""
