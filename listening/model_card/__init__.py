"""Measurements of a model on named sets, written as its card."""
