"""Decoding to headphones: HRIRs, magLS."""
