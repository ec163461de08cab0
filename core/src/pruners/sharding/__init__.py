"""Layers that lie in pieces on several ranks: ranked, moved and put together, the same as in one process."""
