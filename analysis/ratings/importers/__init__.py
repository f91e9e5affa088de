"""One module for each program whose rating files are read."""
