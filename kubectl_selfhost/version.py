"""The version of kubectl-selfhost, for the build, ``--version`` and the journal."""

__version__ = "0.1.0"
