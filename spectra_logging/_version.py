"""The distribution's version, in the one place that packaging and rows both read."""

__version__ = "0.1.0"
