"""Tests of the dependency engine: what leaves a network together."""
