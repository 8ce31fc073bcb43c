"""Placeholder docstring, replaced when the folder fills."""
