"""What records go to: a Delta table, or a Discord channel.

- :mod:`~spectra_logging.handlers.delta`: :class:`DeltaHandler`, rows of a table, exactly once.
- :mod:`~spectra_logging.handlers.discord`: :class:`DiscordHandler`, alerts that never block.
- :mod:`~spectra_logging.handlers.background`: what handlers with a background thread share.
- :mod:`~spectra_logging.handlers.options`: checks of the options that they share.
"""
