"""Records a model's forward pass as neutral operations, and finds the sizes written in its code."""

from .recorder import Recorder
from .recording import Recording, Script, trace
from .replay import replay

__all__ = ["Recorder", "Recording", "Script", "replay", "trace"]
