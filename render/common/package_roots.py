"""Refuse to work where a folder of somebody else's hides one of this project's packages.

``python -m package.verb`` looks for packages in the current folder first, and ours have common names: a user's
folder ``analysis`` with an ``__init__.py`` would be imported in place of ours, and fail somewhere inside. This
file is run by its path from each package's ``__init__.py``: the hidden package may be the one that it is in.
"""

import sys
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

for _name in ("analysis", "codec", "hoa", "listening", "render", "stimuli"):
    _spec = find_spec(_name)
    if _spec and _spec.origin and Path(_spec.origin).resolve().parents[1] != ROOT:
        _message = (
            f"{Path(_spec.origin).parent} hides the package {_name!r} of hoa-rvqgan, which lies in {ROOT}; "
            "rename that folder, or type the command in another one"
        )
        if "-m" in sys.orig_argv and not hasattr(sys.modules["__main__"], "__file__"):
            # Python is about to start one of our commands: one line, no traceback
            print(f"error: {_message}", file=sys.stderr)
            sys.exit(2)
        raise ImportError(_message)
