"""How it can end that a channel is sent something, beside well: it gave no answer, or it refused.

Nothing here sends, and no secret stands in a message.
"""

from datetime import timedelta


class ChannelUnreachable(Exception):
    """It gave no answer in time, or asked for patience: whether people were told is not known. To be tried again."""

    def __init__(self, message: str, retry_after: timedelta = timedelta(0)) -> None:
        """Keep for how long it wants to be left alone."""
        super().__init__(message)
        self.retry_after = retry_after


class ChannelRefused(Exception):
    """It will not take it, or cannot be asked: a person must act. The message says what to do."""
