"""Rating files of many programs, read into one tidy table."""
