"""What may go wrong, in words that a person can act on."""

from __future__ import annotations


class SelfhostError(Exception):
    """A failure that is told to the person as it is, without a traceback.

    ``message`` is a plain sentence that names the thing; ``hint`` says what to do next (it may be
    empty where nothing sensible can be said). Neither may ever hold a key, a token or a kubeconfig.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
