"""Records a block's forward pass as neutral operations and as MXNet's own operators."""

from .arguments import Arguments, arrays_in
from .graph import Graph, Node, Recording, Variable
from .recording import run, trace
from .replay import replay

__all__ = ["Arguments", "Graph", "Node", "Recording", "Variable", "arrays_in", "replay", "run", "trace"]
