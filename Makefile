# Needs Python 3.11 and make, nothing else. Every command below is a nox session (see noxfile.py).
PYTHON ?= $(shell command -v python3.11 || command -v python3)
NOX := .venv/bin/nox

.PHONY: demo test docs benchmarks clean

demo: $(NOX)
	$(NOX) -s demo

test: $(NOX)
	$(NOX)

docs: $(NOX)
	$(NOX) -s docs

benchmarks: $(NOX)
	$(NOX) -s benchmarks

clean:
	rm -rf .venv .nox .mypy_cache .pytest_cache .ruff_cache .hypothesis dist site demo-output

$(NOX):
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet "nox>=2025.2"
	@touch $(NOX)
