"""Objective measures between a reference scene and a test scene, one idea in each module."""
