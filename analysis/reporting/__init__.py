"""Figures, pages and reports."""
