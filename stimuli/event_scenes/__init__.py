"""Scenes of single critical sounds with known truth."""
