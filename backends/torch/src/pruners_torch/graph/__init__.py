"""Networks as programs: exported, made smaller with every size rewritten, stored without the user's code."""

from .model import GraphModel
from .storing import graph_module, graph_state
from .traced import GraphTraced, trace_graph

__all__ = ["GraphModel", "GraphTraced", "graph_module", "graph_state", "trace_graph"]
