"""The network as a stream: the same bits for every cut of the signal and every number of threads."""
