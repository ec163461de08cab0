"""Plugins that must be accepted, and one per promise that must be rejected."""
