"""A whole test: from options and ratings to results, plans and simulations."""
