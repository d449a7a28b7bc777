"""Permissions on single objects, beside Django's permissions on whole models."""
