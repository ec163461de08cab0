"""The dependency engine: what must leave together when a channel leaves, on any framework."""
