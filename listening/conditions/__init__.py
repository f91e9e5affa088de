"""What listeners compare: one module for each kind of condition."""
