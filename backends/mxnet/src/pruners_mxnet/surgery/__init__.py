"""Surgery on Gluon blocks: cut in place, prove, or put everything back."""

from .removing import remove

__all__ = ["remove"]
