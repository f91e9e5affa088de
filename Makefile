# make stimuli   synthesise the demo scenes, make the four conditions, write the blinded 7.1.4 package
# make test      run every test
# make listen    rate it in the browser
# make help      all targets
SHELL := /bin/bash
.ONESHELL:
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV   := .venv
READY  := $(VENV)/.ready
RUN    := $(VENV)/bin/python -m

SEED    ?= 1
SECONDS_PER_SCENE := 14
LAYOUT  ?= 7.1.4
WORKERS ?= $(shell nproc)

.PHONY: help setup libraries stimuli listen test sound lint format docs figures figure1 figure2 card bench fuzz mutation clean

help:
	@echo 'make setup                         virtual environment, Python packages, libopus'
	echo 'make stimuli                       8 synthetic scenes -> out/demo/package-$(LAYOUT)'
	echo 'make stimuli INPUT="a.wav Tram=b.wav" your own third-order (or higher) ambiX files -> out/input'
	echo 'make stimuli EIGENSCAPE=DIR        the held-out recordings of EigenScape -> out/eigenscape'
	echo 'make listen [PLAN=FILE.toml]        rate the package in the browser, on this machine; what is missing is made'
	echo 'make figure1 [MONO=FILE]            validation mel distance, transfer from a mono model against random (trains)'
	echo 'make card [REAL="a.wav b.wav"]      the table of the shipped model and its rivals on unseen scenes -> out/card'
	echo 'make figure2 [RESULTS=FILE KEY=FILE] the MUSHRA figure of the paper (simulated ratings without RESULTS)'
	echo '                                   ratings of a blinded package need its key too: KEY=out/demo/key-7.1.4.json'
	echo 'make figures                       every figure that needs no ratings of yours'
	echo 'make fuzz [FUZZ_SECONDS=60]         attack every reader of files with changed files'
	echo 'make mutation [SAMPLE=N]           change the code bit by bit: would the tests notice? (hours without SAMPLE)'
	echo 'make docs                          the documentation as a site -> out/docs/index.html'
	echo 'make test | lint | format | bench | clean'

# ------------------------------------------------------------------------------------------------- set-up

setup: $(READY)

# What Python itself needs of the system. A target of its own, so that make -j2 installs what sound needs beside Python's
# packages: apt-get waits for no other.
libraries:
	@if [ -e $(READY) ]; then exit; fi
	if ! $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
		echo 'error: Python 3.11 or newer is needed; name it with make PYTHON=python3.11 ...' >&2; exit 1
	fi
	if ! $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null; then
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
			apt-get update -qq && apt-get install -y -qq python3-venv
		else
			echo 'error: the module venv is missing; install it: sudo apt-get install python3-venv' >&2; exit 1
		fi
	fi
	if ! $(PYTHON) -c 'import ctypes.util, sys; sys.exit(not ctypes.util.find_library("opus"))'; then
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
			apt-get update -qq && apt-get install -y -qq libopus0
		else
			echo 'note: libopus is missing, the condition OPUS needs it: sudo apt-get install libopus0 (macOS: brew install opus)' >&2
		fi
	fi

# The lock pins every version. torch alone is chosen at set-up: its CPU build where one is at hand
# (PIP_FIND_LINKS, or UV_TORCH_BACKEND=cpu), otherwise what the registry has for this platform (CUDA on Linux).
$(READY): pyproject.toml uv.lock | libraries
	@[ -x $(VENV)/bin/python ] || $(PYTHON) -m venv $(VENV)
	[ -x $(VENV)/bin/uv ] || $(VENV)/bin/pip install -q --disable-pip-version-check uv==0.13.9
	$(VENV)/bin/uv export --frozen -q --no-emit-project --no-emit-package torch --all-groups -o $(VENV)/lock.txt
	UV_FIND_LINKS="$${PIP_FIND_LINKS:-}" $(VENV)/bin/uv pip install -q --compile-bytecode -p $(VENV)/bin/python \
		-c $(VENV)/lock.txt "torch==2.13.0" -e . --group dev
	touch $@

# ------------------------------------------------------------------------------------------------ stimuli

ifdef INPUT
  OUT ?= out/input
  SOURCE = --input $(INPUT)
else ifdef EIGENSCAPE
  OUT ?= out/eigenscape
  SOURCE = --material data/eigenscape
else
  OUT ?= out/demo
  SOURCE = --material data/prepared/seed-$(SEED)
endif

stimuli: $(READY)
ifdef INPUT
else ifdef EIGENSCAPE
	$(RUN) stimuli.prepare "$(EIGENSCAPE)" --recordings 8 -o data/eigenscape --workers $(WORKERS)
else
	$(RUN) stimuli.synth --seed $(SEED) --seconds $(SECONDS_PER_SCENE) --recordings 8 -o data/synthetic/seed-$(SEED) --workers $(WORKERS)
	$(RUN) stimuli.prepare data/synthetic/seed-$(SEED) -o data/prepared/seed-$(SEED) --workers $(WORKERS)
endif
	$(RUN) listening.build --plan demo $(SOURCE) -o $(OUT) --workers $(WORKERS)
	$(RUN) listening.export --build $(OUT) --layout $(LAYOUT) --workers $(WORKERS)

# One listener's page opens where there is a screen; his link and that of the desk are printed.
listen: $(READY)
	if [ ! -f "$(OUT)/package-$(LAYOUT)/session.json" ]; then $(MAKE) --no-print-directory stimuli; fi
	exec $(RUN) listening.serve --package "$(OUT)/package-$(LAYOUT)" $(if $(PLAN),--plan "$(PLAN)") --browser

# ------------------------------------------------------------------------------------------------ figures

ifdef RESULTS
figure2: $(READY)
	$(RUN) analysis.mushra "$(RESULTS)" $(if $(KEY),--key "$(KEY)") --ci paper --force -o figures/figure2
else
figure2: $(READY)
	$(RUN) analysis.simulate --listeners 8 --seed 1 --force -o figures/simulated_ratings.csv
	$(RUN) analysis.mushra figures/simulated_ratings.csv --ci paper --force -o figures/figure2
endif

# Held out, and validated every few hundred steps, are short scenes: they cost more than the training steps.
figure1: $(READY)
	for part in 1-7:12 8:1.5; do
		$(RUN) stimuli.synth --seed 301 --seconds $${part#*:} --recordings $${part%:*} -o data/synthetic/figure1-$${part%:*} --workers $(WORKERS)
		$(RUN) stimuli.prepare data/synthetic/figure1-$${part%:*} -o data/prepared/figure1-$${part%:*} --workers $(WORKERS)
	done
	$(RUN) codec.figure1 --data data/prepared/figure1-1-7 data/prepared/figure1-8 $(if $(MONO),--mono "$(MONO)") --force -o figures/figure1

card: $(READY)
	$(RUN) stimuli.synth --seed 7171 --seconds 10 --recordings 8 -o data/synthetic/card --workers $(WORKERS)
	$(RUN) stimuli.prepare data/synthetic/card -o data/prepared/card --workers $(WORKERS)
	$(RUN) stimuli.events --seed 7171 --seconds 6 -o data/events/card
	$(RUN) listening.card --set unseen=data/prepared/card --set events=data/events/card $(foreach file,$(REAL),--set "$(basename $(notdir $(file)))=$(file)") --workers $(WORKERS) --force -o out/card

figures: figure2

# ------------------------------------------------------------------------------------------- house-keeping

# A browser and a sound system for the tests of the listening test; the tests that need them skip where they are missing.
SOUND_PACKAGES := chromium pulseaudio pulseaudio-utils libportaudio2 libasound2-plugins

# One thread in each worker: workers that share the cores wait for each other in every parallel loop otherwise. One
# worker more than cores, since tests of playback wait for sound in real time.
# Where Python is told to keep no compiled modules, every command that a test starts would compile all of them anew.
test: $(READY) sound
	PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(RUN) pytest -n $$(($(WORKERS) + 1))

sound: | libraries
	@if ! { command -v chromium && command -v pulseaudio && command -v parec \
			&& $(PYTHON) -c 'import ctypes.util, sys; sys.exit(not ctypes.util.find_library("portaudio"))'; } >/dev/null; then
		if ! { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -qq \
				&& apt-get install -y -qq --no-install-recommends $(SOUND_PACKAGES); }; then
			echo 'note: tests of playback skip: sudo apt-get install $(SOUND_PACKAGES)' >&2
			exit 0
		fi
	fi
	# Half the processor time of the tests of pages, which run in the ordinary Chromium without it.
	if ! command -v chromium-headless-shell >/dev/null && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
		apt-get install -y -qq --no-install-recommends chromium-headless-shell >/dev/null 2>&1 || true
	fi

lint: $(READY)
	$(VENV)/bin/uv lock --check -q
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check -q .
	$(VENV)/bin/lint-imports
	$(VENV)/bin/pyrefly check

# A link that leads nowhere is an error.
docs: $(READY)
	@UV_FIND_LINKS="$${PIP_FIND_LINKS:-}" $(VENV)/bin/uv pip install -q -p $(VENV)/bin/python -c $(VENV)/lock.txt --group docs
	$(VENV)/bin/sphinx-build -q -W --keep-going docs out/docs
	echo 'out/docs/index.html'

format: $(READY)
	$(VENV)/bin/ruff check --fix -q .
	$(VENV)/bin/ruff format -q .

bench: $(READY)
	$(RUN) bench

FUZZ_SECONDS ?= 60
fuzz: $(READY)
	OMP_NUM_THREADS=1 $(VENV)/bin/python tests/attacks/fuzz.py --seconds $(FUZZ_SECONDS) --workers $(WORKERS)

mutation: $(READY)
	$(VENV)/bin/python tests/mutation.py --workers $(WORKERS) $(if $(SAMPLE),--sample $(SAMPLE))

clean:
	rm -rf out figures data/synthetic data/prepared data/events dist
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
