"""The bits of an .arvq file; NumPy only."""
