"""What is wrong with the format of a test file: order, normalisation, mirror, delay, gain."""
