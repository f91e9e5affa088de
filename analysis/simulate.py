"""Write simulated ratings, for planning, teaching and tests. No listener gave them, and they say so.

    python -m analysis.simulate --key out/demo/key-7.1.4.json --listeners 12 -o out/ratings.csv

Score = mean of the condition + effects of the listener, the item, and of both with the condition + noise, cut
to 0..100 and rounded. The variances are those of a published test of Ambisonics coding (22 listeners x 13
items); the means are guesses in the order that the paper reports. Sessions and listeners are named
simulated-..., by which our commands recognise the file: everything made from it says SIMULATED.
"""

from __future__ import annotations

from pathlib import Path

from render.common.cli import parser, run
from render.common.errors import InputError

CONDITIONS = ("la", "opus3_160", "prop", "href")


def main() -> None:
    """Run the command line."""
    command = parser(__doc__, "analysis.simulate")
    command.add_argument("--listeners", type=int, default=8, metavar="N")
    command.add_argument("--items", type=int, metavar="N", help="number of items (default: the 8 scene classes)")
    command.add_argument("--seed", type=int, default=1)
    command.add_argument("--key", type=Path, metavar="KEY.json", help="rate the stimuli of this key's package")
    command.add_argument(
        "--effect",
        action="append",
        default=[],
        metavar="CONDITION=MEAN",
        help="true mean of a condition; may be repeated",
    )
    command.add_argument("--variance", action="append", default=[], metavar="COMPONENT=VALUE",
                         help="of listener, item, listener_condition, item_condition, residual; "
                         "in points squared, may be repeated")  # fmt: skip
    command.add_argument("--laboratories", type=int, default=1, metavar="N", help="divide the listeners among N")
    command.add_argument("--replicates", type=int, default=1, metavar="N", help="rate every cell N times")
    command.add_argument("--items-per-listener", type=int, metavar="N", help="items that each listener rates")
    command.add_argument("-o", "--output", type=Path, default=Path("ratings.csv"), metavar="RATINGS.csv")
    command.add_argument("--force", action="store_true", help="replace a file that differs")
    arguments = command.parse_args()
    if not 1 <= arguments.listeners <= 9999:
        raise InputError(f"--listeners {arguments.listeners}: must be from 1 to 9999")
    if arguments.items is not None and (arguments.key or not 1 <= arguments.items <= 9999):
        raise InputError("--items must be from 1 to 9999; with --key the items are the key's")
    if arguments.seed < 0:
        raise InputError(f"--seed {arguments.seed}: must not be negative")

    if not 1 <= arguments.laboratories <= arguments.listeners or not 1 <= arguments.replicates <= 9:
        raise InputError("--laboratories must be from 1 to the number of listeners, --replicates from 1 to 9")

    from analysis.ratings.table import read_key, write
    from analysis.study.simulation import effects_of, simulate, variances_of
    from stimuli.eigenscape.corpus import CLASSES

    variances = variances_of(arguments.variance)
    key = read_key(arguments.key) if arguments.key else None
    if key:
        items = list(key)
        conditions = sorted({c for stimuli in key.values() for c in stimuli.values()})  # not by their blind names
    else:
        items = [f"item{i + 1:02d}" for i in range(arguments.items)] if arguments.items else list(CLASSES)
        conditions = list(CONDITIONS) + [e.partition("=")[0] for e in arguments.effect]
    effects = effects_of(arguments.effect, list(dict.fromkeys(conditions)))
    each = arguments.items_per_listener
    if each is not None and not 1 <= each <= len(items):
        raise InputError(f"--items-per-listener must be from 1 to the number of items, {len(items)}")
    table = simulate(
        effects, arguments.listeners, items, arguments.seed, variances, arguments.laboratories,
        arguments.replicates, each,
    )  # fmt: skip
    if key:
        names = {(item, c): stimulus for item, stimuli in key.items() for stimulus, c in stimuli.items()}
        cells = list(zip(table["item"], table["condition"], strict=True))
        table = table[[cell in names for cell in cells]]
        table = table.assign(condition=[names[cell] for cell in cells if cell in names])
    write(arguments.output, table, force=arguments.force, blinded=key is not None)
    design = f"{arguments.listeners} listeners x {len(items)} items"
    print(f"wrote {arguments.output}: {len(table)} SIMULATED ratings, {design}")


if __name__ == "__main__":
    run(main)
