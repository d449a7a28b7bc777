"""Stands where a channel layer in PostgreSQL stands."""

__version__ = "0.1.0"
