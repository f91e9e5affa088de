"""Would the tests notice? Change one operator or number at a time and run the module's tests: ``make mutation``.

A change that every test passes has *survived*: it is printed with its place. The score is the share of changes
that are noticed; one that makes the tests run five times as long counts as noticed. Changed are comparisons,
arithmetic, logic, numbers, truth values, jumps of loops and errors that are raised; texts and annotations are not.

Each change is tried in a process of its own, forked from one that has loaded NumPy, PyTorch and pytest already,
with the changed text in place of the module's file, which is never touched.
"""

from __future__ import annotations

import argparse
import ast
import copy
import importlib.abc
import importlib.util
import os
import random
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]

BITSTREAM = (
    "tests/codec/bitstream", "tests/attacks/test_attacks_arvq.py",
    "-k", "not no_mutation and not parameters and not transform and not numpy_only",
)  # fmt: skip
MODULES: dict[str, tuple[str, ...]] = {
    "codec/bitstream/file.py": BITSTREAM,
    "codec/bitstream/format.py": BITSTREAM,
    "codec/bitstream/range_coder.py": BITSTREAM,
    "codec/bitstream/sizes.py": BITSTREAM,
    "codec/side_info/parameter_coding.py": (
        "tests/codec/bitstream/test_document.py", "tests/codec/side_info/test_parameter_coding.py",
        "-k", "not transform and not suffices[ and not others[64]",
    ),
    "listening/sessions/pages.py": ("tests/listening/sessions/test_pages.py",),
    "listening/sessions/progress.py": ("tests/listening/sessions/test_progress.py", "-k", "not no_json"),
    "listening/sessions/ratings.py": ("tests/listening/sessions/test_ratings.py",),
    "listening/test_design/presentation_orders.py": ("tests/listening/test_design/test_presentation_orders.py",),
    "render/fileio/container.py": (
        "tests/render/fileio/test_container.py", "tests/render/fileio/test_audio_file.py",
        "tests/attacks/test_audio_files.py",
    ),
    "render/loudspeakers/renderer.py": ("tests/render/loudspeakers/test_renderer.py",),
    "stimuli/excerpts/audibility.py": ("tests/stimuli/excerpts/test_audibility.py",),
    "stimuli/excerpts/selection.py": ("tests/stimuli/excerpts/test_selection.py",),
    "stimuli/excerpts/window.py": ("tests/stimuli/excerpts/test_window.py",),
}  # fmt: skip
"""Module -> the arguments of pytest that run its tests."""

OTHER = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult, ast.Pow: ast.Mult, ast.LShift: ast.RShift, ast.RShift: ast.LShift, ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd, ast.BitXor: ast.BitAnd, ast.MatMult: ast.Mult,
}  # fmt: skip


class _Places(ast.NodeVisitor):
    """Collects the nodes that may be changed: none in annotations, decorators, texts and imports."""

    def __init__(self) -> None:
        self.found: list[ast.AST] = []

    def visit(self, node: ast.AST) -> None:
        if isinstance(node, ast.Import | ast.ImportFrom | ast.JoinedStr):
            return
        for name, value in ast.iter_fields(node):
            if name in ("annotation", "returns", "decorator_list", "type_params"):
                continue
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    self.visit(child)
        self.found.append(node)


def changes(tree: ast.Module) -> Iterator[tuple[ast.AST, ast.AST]]:
    """Yield (node, what may stand in its place)."""
    places = _Places()
    places.visit(tree)
    for node in places.found:
        new = copy.deepcopy(node)
        match new:
            case ast.Compare():
                for index, kind in enumerate(new.ops):
                    if type(kind) in OTHER:
                        one = copy.deepcopy(new)
                        one.ops[index] = OTHER[type(kind)]()
                        yield node, one
                continue
            case ast.BinOp() | ast.BoolOp() | ast.AugAssign() if type(new.op) in OTHER:
                # texts are joined with +, types with |
                if isinstance(getattr(new, "left", None), ast.Name) and new.left.id in ("str", "int", "bytes"):
                    continue
                new.op = OTHER[type(new.op)]()
            case ast.UnaryOp(op=ast.Not() | ast.USub()):
                new = new.operand
            case ast.Constant(value=bool()):
                new.value = not new.value
            case ast.Constant(value=int()):
                new.value += 1
            case ast.Constant(value=float()):
                new.value = new.value * 1.5 + (new.value == 0)
            case ast.Break():
                new = ast.Continue()
            case ast.Continue():
                new = ast.Break()
            case ast.Raise():
                new = ast.Pass()
            case _:
                continue
        yield node, new


class _Swap(ast.NodeTransformer):
    def __init__(self, old: ast.AST, new: ast.AST) -> None:
        self._old, self._new = old, new

    def visit(self, node: ast.AST) -> ast.AST:
        return ast.copy_location(self._new, node) if node is self._old else self.generic_visit(node)


class _Loader(importlib.abc.SourceLoader):
    """Serves the changed text under the name and the path of the module."""

    def __init__(self, path: Path, text: str) -> None:
        self._path, self._text = path, text

    def get_filename(self, fullname: str) -> str:
        return str(self._path)

    def get_data(self, path: str) -> bytes:
        return self._text.encode()


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, name: str, loader: _Loader) -> None:
        self._name, self._loader = name, loader

    def find_spec(self, fullname, path, target=None):
        return importlib.util.spec_from_loader(fullname, self._loader) if fullname == self._name else None


def tried(module: str, text: str | None) -> int:
    """Run the module's tests with this text in its place (None: as it is) in a new process; return its number."""
    if pid := os.fork():
        return pid
    os.setpgid(0, 0)
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    # a function that was compiled before would hide the change
    if any(mark in (ROOT / module).read_text() for mark in ("@compiled(", "@intrinsic")):
        import numba

        compile_function = numba.njit
        numba.njit = lambda *signatures, cache=True, **options: compile_function(*signatures, **options)
    if text is not None:
        name = module.removesuffix(".py").replace("/", ".")
        sys.meta_path.insert(0, _Finder(name, _Loader(ROOT / module, text)))
    import pytest

    status = pytest.main(
        [
            "-x",
            "-q",
            "--assert=plain",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:xdist",
            "--hypothesis-seed=0",
            *MODULES[module],
        ]
    )
    os._exit(int(status))


def score(module: str, workers: int, sample: int | None, seed: int) -> tuple[int, int]:
    """Try the changes of a module; print those that survive and return (noticed, tried)."""
    source = (ROOT / module).read_text()
    tree = ast.parse(source)
    everything = list(changes(tree))
    chosen = random.Random(seed).sample(everything, sample) if sample and sample < len(everything) else everything
    begun = time.monotonic()
    if os.waitpid(tried(module, None), 0)[1]:
        sys.exit(f"error: {module}: its tests fail without any change")
    limit_s = 10 + 5 * workers * (time.monotonic() - begun)
    noticed, running, waiting = 0, {}, list(chosen)
    while waiting or running:
        while waiting and len(running) < workers:
            old, new = waiting.pop()
            text = ast.unparse(_Swap(old, new).visit(copy.deepcopy(tree, {id(old): old})))
            running[tried(module, text)] = old, new, time.monotonic()
        time.sleep(0.02)
        for pid, (old, new, start) in list(running.items()):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if not ended and time.monotonic() - start < limit_s:
                continue
            if not ended:
                os.killpg(pid, signal.SIGKILL)
                _, status = os.waitpid(pid, 0)
            del running[pid]
            noticed += status != 0
            if status == 0:
                print(f"{module}:{old.lineno}: survived: {ast.unparse(old)}  ->  {ast.unparse(new)}", flush=True)
    print(f"{module}: {noticed} of {len(chosen)} noticed ({noticed / max(len(chosen), 1):.1%})", flush=True)
    return noticed, len(chosen)


def main() -> None:
    """Command line."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("modules", nargs="*", default=list(MODULES), metavar="MODULE", help="(default: all)")
    arguments.add_argument("--sample", type=int, metavar="N", help="changes of each module (default: every one)")
    arguments.add_argument("--seed", type=int, default=0, help="of the sample (default 0)")
    arguments.add_argument("--workers", type=int, default=os.cpu_count(), help="changes tried at the same time")
    arguments.add_argument("--least", type=float, default=90, metavar="PERCENT", help="fail below it (default 90)")
    options = arguments.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    sys.dont_write_bytecode = True
    for name in (
        "numpy",
        "scipy.fft",
        "scipy.signal",
        "scipy.linalg",
        "torch",
        "numba",
        "soundfile",
        "soxr",
        "jaxtyping",
        "pytest",
        "hypothesis",
    ):
        importlib.import_module(name)
    results = [score(module, options.workers, options.sample, options.seed) for module in options.modules]
    noticed, count = map(sum, zip(*results, strict=True))
    share = 100 * noticed / count
    print(f"all: {noticed} of {count} noticed ({share:.1f} %)")
    sys.exit(share < options.least)


if __name__ == "__main__":
    main()
