"""Records a model's forward pass as neutral operations, and finds the sizes written in its code."""

from .recording import Recording, Script, trace

__all__ = ["Recording", "Script", "trace"]
