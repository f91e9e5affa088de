#!/bin/bash
# All that needs a GPU, in one call: bench/gpu.sh [--minutes 9] [--checkpoint] [--dry-run], see bench/gpu.py.
# OUT is the folder of what is to be kept (default: out/gpu), WORK that of data and runs (default: out/gpu-work).
set -euo pipefail
cd "$(dirname "$0")/.."
OUT=$(realpath -m "${OUT:-out/gpu}")
WORK=$(realpath -m "${WORK:-out/gpu-work}")
if [ -z "${PYTHON:-}" ]; then
	if [ -x .venv/bin/python ]; then PYTHON=$PWD/.venv/bin/python; else PYTHON=python3; fi
fi
mkdir -p "$OUT" "$WORK"
PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH} "$PYTHON" -u bench/gpu.py --out "$OUT" --work "$WORK" "$@" 2>&1 | tee -a "$OUT/log.txt"
