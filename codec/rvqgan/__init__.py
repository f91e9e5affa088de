"""The multichannel RVQGAN of the paper, and nothing else."""
