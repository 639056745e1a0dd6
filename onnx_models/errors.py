"""The one exception of this package."""


class EncoderError(Exception):
    """A card, a model file or an encoder call is wrong.

    The message is one line: what was given, what is allowed, and what to do next.
    """
