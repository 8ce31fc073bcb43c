"""The stage's own tests: checks on tables, in few statements, reported for people and tools."""
