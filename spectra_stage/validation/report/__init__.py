"""What a :class:`~spectra_stage.validation.results.Report` becomes: for people, programs and logs.

Every form is made of :func:`~spectra_stage.validation.report.cleaned.cleaned` findings, so that
what may be shown is decided in one place. The forms are methods of the report.
"""
