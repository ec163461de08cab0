"""Networks as programs: exported, made smaller with every size rewritten, stored without the user's code."""

from .model import GraphModel
from .traced import GraphTraced, trace_graph

__all__ = ["GraphModel", "GraphTraced", "trace_graph"]
