"""Not in the paper: spatial side information, the KLT that follows from it, level restoration."""
