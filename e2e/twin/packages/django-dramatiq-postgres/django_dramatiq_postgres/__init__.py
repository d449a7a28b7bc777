"""Stands where a task queue in PostgreSQL stands."""

__version__ = "0.1.0"
