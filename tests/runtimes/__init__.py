"""Tests that hold a framework and the runtimes its models are deployed to beside each other."""
