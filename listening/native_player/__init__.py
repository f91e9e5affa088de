"""Playback without a browser in the path: the switching of the page, in NumPy, on an audio interface."""
