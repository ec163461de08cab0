"""Sessions and removals on several ranks, each rank a process: ``nox -s distributed``."""
