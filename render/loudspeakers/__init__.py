"""Decoding to loudspeakers: design of matrices, and their application."""
