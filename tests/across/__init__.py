"""Tests that hold two frameworks beside each other."""
