"""Neural-network pruning in which every algorithm and every framework is a plugin."""

from .hooks import hookimpl
