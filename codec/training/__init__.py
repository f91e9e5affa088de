"""Data, loop, state and checkpoints of training runs."""
