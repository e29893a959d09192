# make demo: install what is needed and track the bundled sample shot.  make test: all tests.
# On Windows, where there is no make, README.md says what to type.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
TEST_EXTRAS := test,blender,train,usd
INSTALL ?=

# The manual, as pages for a browser in build/manual.
.PHONY: docs
docs: .venv/installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

.venv/installed-docs: pyproject.toml install.py
	$(PYTHON) install.py --quiet --extras docs $(INSTALL)

.PHONY: demo test lint extension test-blender test-blender-all clean

demo: .venv/installed-plain
	$(BIN)/facequery demo

test: .venv/installed-test-blender-train-usd
	$(BIN)/python -m pytest -n 2 --dist loadfile

lint: .venv/installed-test-blender-train-usd
	$(BIN)/ruff check .
	$(BIN)/mypy

# The Blender extension's zip, by Blender's own tool.
extension: .venv/installed-test-blender-train-usd
	$(BIN)/python -m tools.build_extension

test-blender: .venv/installed-test-blender-train-usd
	$(BIN)/python -m pytest tests/blender

# The extension's tests in other versions of Blender, each in an environment of its own.
BLENDERS := 4.2.0 5.0.1 5.2.3
.PRECIOUS: .venv/bpy-%
test-blender-all: test-blender $(BLENDERS:%=.venv/test-bpy-%)

.venv/test-bpy-%: .venv/bpy-%
	FACEQUERY_BLENDER_PYTHON=$(CURDIR)/.venv/bpy-$*/bin/python $(BIN)/python -m pytest tests/blender

# The bpy module of Blender 5.2 is one of Python 3.13.
.venv/bpy-5.2%: | .venv/installed-test-blender-train-usd
	python3.13 -m venv $@
	$@/bin/python -m pip install --quiet "bpy==5.2$*" numpy

.venv/bpy-%: | .venv/installed-test-blender-train-usd
	$(PYTHON) -m venv $@
	$@/bin/python -m pip install --quiet "bpy==$*" "numpy<2"

.venv/installed-plain: pyproject.toml install.py
	$(PYTHON) install.py --quiet $(INSTALL)

.venv/installed-test-blender-train-usd: pyproject.toml install.py
	$(PYTHON) install.py --quiet --extras $(TEST_EXTRAS) $(INSTALL)
	@touch .venv/installed-plain

clean:
	rm -rf .venv
