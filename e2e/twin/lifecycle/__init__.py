"""Stands where the Django application stands."""
