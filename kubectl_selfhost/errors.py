"""Failures, in words that a person can act on."""

from __future__ import annotations


class SelfhostError(Exception):
    """A failure that the person reads as it is, without a traceback.

    ``message`` is a plain sentence that names the thing; ``hint`` says what to do next (empty if
    there is nothing sensible to say). Neither may ever hold a key, a token or a kubeconfig.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
