"""Loudness, convolution, ERB bands."""
