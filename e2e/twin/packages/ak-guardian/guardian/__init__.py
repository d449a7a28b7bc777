"""Stands where permissions on single objects stand."""

__version__ = "3.2.0"
