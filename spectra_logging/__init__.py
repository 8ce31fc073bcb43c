"""Python's standard logging, landing in Delta Lake, with nothing lost."""
