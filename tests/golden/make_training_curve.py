"""Write training_curve.json again after an intended change of the losses or of the training loop.

pytest tests/codec/training/test_trainer.py -k golden --basetemp=DIR
python tests/golden/make_training_curve.py DIR/test_golden_loss_curve0/run/metrics.csv
"""

import csv
import json
import sys
from pathlib import Path

import torch

NAMES = (
    "mel", "covariance", "waveform", "adversarial", "feature", "quantizer", "discriminator", "val_mel",
    "val_covariance", "val_direction_deg",
)  # fmt: skip

with open(sys.argv[1], newline="") as file:
    rows = list(csv.DictReader(file))
content = {
    "origin": f"the training loop itself (PyTorch {torch.__version__.split('+')[0]}, CPU, one thread): a guard "
    "against unintended change, no evidence of correctness",
    "made_by": "the run of tests/codec/training/test_trainer.py::test_golden_loss_curve and "
    "make_training_curve.py",
    "curves": {name: [float(f"{float(row[name]):.6g}") for row in rows if row[name]] for name in NAMES},
}
text = json.dumps(content, indent=1).replace("\n   ", " ").replace("\n  ]", "]")
Path(__file__).with_name("training_curve.json").write_text(text + "\n")
