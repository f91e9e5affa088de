"""Dry clips in a measured room."""
