"""Statistics of an Ambisonic recording, and the ranges of real ones."""
