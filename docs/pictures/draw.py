"""Draw the pictures of docs/figures.md: every figure from simulated ratings, in the width of a column.

    python docs/pictures/draw.py --measures out/demo/measures/objective.csv --maps

The measures are those of a built test (python -m analysis.objective --build out/demo -o out/demo/measures).
Without them the figure scatter is not drawn anew, and without --maps not that of decoders.
"""

from __future__ import annotations

import argparse
import csv
import random
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

HERE = Path(__file__).parent
COLOURS = 64
HEADER = ("session", "listener", "item", "condition_a", "condition_b", "a", "b", "choice", "correct", "replicate")
COLUMN = ("--width", "89mm", "--no-caption", "--force")


def run(module: str, *words: object) -> None:
    """Run a command."""
    subprocess.run([sys.executable, "-m", module, *map(str, words)], check=True, stdout=subprocess.DEVNULL)


def picture(source: Path, name: str, few_colours: bool = True) -> None:
    """Keep a picture, small."""
    path, image = HERE / f"{name}.png", Image.open(source).convert("RGB")
    image = image.quantize(COLOURS, dither=Image.Dither.NONE) if few_colours else image
    image.save(path, optimize=True)
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


def simulated_abx(path: Path) -> None:
    """Write simulated answers of an ABX test: two pairs, three items, eight listeners, four trials each."""
    drawn = random.Random(1)
    with open(path, "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(HEADER)
        for listener in range(1, 9):
            name, skill = f"simulated-{listener:02d}", drawn.uniform(0.5, 0.8)
            for item in ("Beach", "BusyStreet", "Park"):
                for system, easier in (("prop", 0.0), ("opus3_160", 0.2)):
                    for trial in range(1, 5):
                        correct = int(drawn.random() < skill + easier)
                        x = drawn.choice("ab")
                        choice = x if correct else "ba"["ab".index(x)]
                        table.writerow([name, name, item, "href", system, "s1", "s2", choice, correct, trial])


def main() -> None:
    """Command line."""
    command = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command.add_argument("--measures", type=Path, metavar="OBJECTIVE.csv")
    command.add_argument("--maps", action="store_true", help="draw the maps of decoders too")
    given = command.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ratings = folder / "ratings.csv"
        run("analysis.simulate", "--listeners", 12, "-o", ratings)
        run("analysis.mushra", ratings, "--figures", "all", *COLUMN, "-o", folder)
        for figure in ("mushra", "items", "boxes", "violins", "listeners", "differences", "ranks"):
            picture(folder / f"{figure}.png", f"figure-{figure}")
        run("analysis.mushra", ratings, "--show-listeners", "--mark", "brackets", "--labels", "prop=Ours", *COLUMN,
            "-o", folder)  # fmt: skip
        picture(folder / "mushra.png", "figure-listeners-means")
        simulated_abx(folder / "abx.csv")
        run("analysis.comparison", folder / "abx.csv", *COLUMN, "-o", folder)
        picture(folder / "comparison.png", "figure-comparison")
        run("analysis.power", "--items", 8, *COLUMN, "-o", folder)
        picture(folder / "power.png", "figure-power")
        log = HERE.parents[1] / "codec/pretrained/hoa16-small.metrics.csv"
        shown = ("mel", "direction_deg", "squared_error", "learning_rate")
        run("codec.curves", log, "--show", *shown, "--width", "89mm", "-o", folder / "curves")
        picture(folder / "curves.png", "figure-curves")
        if given.measures:
            run("analysis.correlate", ratings, given.measures, "--draws", 100, *COLUMN, "-o", folder)
            picture(folder / "scatter.png", "figure-scatter")
        if given.maps:
            maps = folder / "maps.png"
            run("render.quality", "--layout", "7.1.4", "--decoder", "adm", "pareto", "-o", maps)
            image = Image.open(maps)
            image.resize((800, round(800 * image.height / image.width)), Image.Resampling.LANCZOS).save(maps)
            picture(maps, "figure-decoders", few_colours=False)


if __name__ == "__main__":
    main()
