"""Intervals, tests, mixed models, screening and power."""
