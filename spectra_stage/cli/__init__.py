"""The ``spectra`` command, a file for each group of its subcommands. Needs the extra ``cli``."""
