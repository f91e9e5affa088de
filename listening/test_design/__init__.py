"""Plans, items, orders of presentation."""
