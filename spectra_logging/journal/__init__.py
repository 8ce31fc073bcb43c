"""The journal: every record on disk the moment it is logged, until a batch has it in the table.

- :mod:`~spectra_logging.journal.framing`: the bytes of a line, and telling sound from damaged.
- :mod:`~spectra_logging.journal.segment`: the files that lines are appended to.
- :mod:`~spectra_logging.journal.live`: the one among them that this process appends to.
- :mod:`~spectra_logging.journal.appender`: a process's own side: who appends when, and who waits.
- :mod:`~spectra_logging.journal.roller`: its next segment, and room for it.
- :mod:`~spectra_logging.journal.ledger`: its segments, and what became of the records in them.
- :mod:`~spectra_logging.journal.batches`: the drain side: seal, commit, note, remove.
- :mod:`~spectra_logging.journal.content`: what a batch takes from the segments, verified.
- :mod:`~spectra_logging.journal.gathered`: a batch's rows, read into one piece of memory.
- :mod:`~spectra_logging.journal.state`: what is remembered between drains.
- :mod:`~spectra_logging.journal.folder`: a journal's folder, and what it holds, for people.
- :mod:`~spectra_logging.journal.locks`: locks between processes.
"""
