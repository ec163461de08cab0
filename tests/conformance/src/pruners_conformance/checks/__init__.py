"""The checks, one function per promise; the name is the promise."""
