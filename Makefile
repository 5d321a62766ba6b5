# make quickstart   pretrain on the embedded digits, a few minutes on 2 cores
# make test         lint and the fast tests
# make test-slow    processes, kills, minutes of training
# make soak         what takes longer still
# make install      only set up .venv
# make preflight    add the TPU compiler to .venv (Python 3.11; 300 MB)
# make export-env   what reads exports: PyTorch, timm, onnxruntime (optional)
# make lint         ruff

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
INSTALLED := $(VENV)/.installed
COMPILER := $(VENV)/.preflight
EXPORT := .venv-export
# A CPU build of PyTorch: make export-env TORCH_FROM="--extra-index-url URL"
TORCH_FROM ?=
# Two processes, a file in one of them: most tests keep one core busy. The files
# in their own order but for the longest (tests/conftest.py), so that the last
# ones are short.
IN_TWO := -n 2 --dist loadfile --no-loadscope-reorder --durations=25

.PHONY: install preflight export-env quickstart test test-slow soak lint

install: $(INSTALLED)

# constraints.txt pins what was tested, on Python 3.11; elsewhere the ranges of
# setup.py decide.
$(INSTALLED): setup.py constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --upgrade pip setuptools
	$(RUN) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' \
	  && pins="-c constraints.txt" || pins=""; \
	  $(RUN) -m pip install --quiet $$pins --editable ".[test]"
	touch $@

preflight: $(COMPILER)

$(COMPILER): $(INSTALLED)
	$(RUN) -m pip install --quiet -c constraints.txt --editable ".[preflight]"
	touch $@

export-env: $(EXPORT)/.installed

# On top of .venv, whose packages it sees. timm asks for torchvision, whose
# version follows from torch's.
$(EXPORT)/.installed: constraints-export.txt $(INSTALLED)
	$(RUN) -m venv --clear --without-pip $(EXPORT)
	$(RUN) -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > \
	  $$($(EXPORT)/bin/python -c \
	  'import sysconfig; print(sysconfig.get_path("purelib"))')/base.pth
	$(EXPORT)/bin/python -m pip install --quiet $(TORCH_FROM) \
	  -r constraints-export.txt
	touch $@

quickstart: $(INSTALLED)
	$(RUN) run.py --flagfile=flags/digits_quickstart.flags

lint: $(INSTALLED)
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .

test: lint
	$(RUN) -m pytest $(IN_TWO)

test-slow: $(INSTALLED) $(COMPILER)
	$(RUN) -m pytest $(IN_TWO) -m "slow and not soak"

soak: $(INSTALLED) $(COMPILER)
	$(RUN) -m pytest -m soak
