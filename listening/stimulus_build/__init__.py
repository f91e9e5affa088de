"""Conditions x items into files: building, caching, quality gate, manifest."""
