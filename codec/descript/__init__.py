"""What comes from the published codec: checkpoints, .dac files."""
