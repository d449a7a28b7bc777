"""Stands where a cache in PostgreSQL stands."""

__version__ = "0.1.0"
