"""Recordings into the form of the paper: third order, 44.1 kHz, 16 bit."""
