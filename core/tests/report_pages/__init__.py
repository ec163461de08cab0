"""Tests of the report as a page, and of the adapter to TensorBoard."""
