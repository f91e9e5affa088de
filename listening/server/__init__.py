"""The listening test over HTTP: what a browser is sent, and nothing that tells a condition."""
