"""From signals to packets and back: front end, network, concealment, files."""
