"""Choice of the seconds that listeners hear."""
