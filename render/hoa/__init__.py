"""Scenes, feeds, spherical harmonics, layouts and channel conventions."""
