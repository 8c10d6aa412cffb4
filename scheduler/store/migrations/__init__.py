"""Migrations: how the tables became what they are, one Alembic script for each version of the schema; migration.py runs them."""
