"""The one place that holds our version: the build, ``--version`` and the journal read it here."""

__version__ = "0.1.0"
