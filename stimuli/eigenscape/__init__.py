"""EigenScape's classes, its archive and its split into training and held-out recordings."""
