"""Losses of the generator and the discriminators; eq. 3 of the paper is in `covariance`."""
