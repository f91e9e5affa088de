"""Model files of our own: safetensors with a configuration and a digest."""
