"""Opus with channel mapping families 2 and 3, and its Ogg files."""
