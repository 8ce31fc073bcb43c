"""The Source stage of a SPECTRA pipeline: run, validated, handed over."""
