# All of the work is in scripts/setup.sh. PYTHON=/path/to/python3 chooses the interpreter, ARGS= is passed on.
export PYTHON
BIN := .venv/bin

.PHONY: setup serve test check bench clean

setup:
	@scripts/setup.sh serve

serve: setup
	@exec $(BIN)/kernelgw serve $(ARGS)

test:
	@scripts/setup.sh test
	@$(MAKE) --no-print-directory lint
	@exec $(BIN)/pytest $(ARGS)

check: setup lint

.PHONY: lint
lint:
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy

bench: setup
	@exec $(BIN)/python -m tests.bench $(ARGS)

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache dist
	find kernelgw kernels tests -name __pycache__ -type d -prune -exec rm -rf {} +
