"""The zoo: networks whose channels are removed with proof, and what writes ``docs/coverage.md``."""
