"""Errors, each with what failed and what to do next."""

from __future__ import annotations


class SelfhostError(Exception):
    """An error that the person reads as it is, without a traceback.

    ``message`` is a plain sentence that names the thing. ``hint`` says what to do next; it is empty
    if nothing helps. Neither may ever contain a key, a token or a kubeconfig.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
