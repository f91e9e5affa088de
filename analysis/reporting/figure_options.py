"""What the figures of a listening test show, and the options that choose it.

This module is imported before the options are parsed, so it loads neither numpy nor matplotlib.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, field

from analysis.ratings.record import canonical
from render.common.figure_style import Look, add_look_options, chosen_look

MARKS = ("letters", "brackets")
BY_MEAN = "mean"


@dataclass(frozen=True)
class Choices:
    """What the figures show.

    Attributes
    ----------
    look
        Their look.
    labels
        Condition -> its name in the figures, for those that are not to have the usual one.
    order
        Conditions from left to right, others are not drawn; or `BY_MEAN` alone, the lowest mean first; empty:
        anchors, systems, hidden reference.
    show_listeners
        Whether each listener's means are drawn behind the means and differences.
    mark
        How the figure of means marks conditions that differ, one of `MARKS`; empty: not at all.
    compared_to
        The differences drawn are those of the other conditions to this one; empty: those of all pairs.
    """

    look: Look = field(default_factory=Look)
    labels: Mapping[str, str] = field(default_factory=dict)
    order: tuple[str, ...] = ()
    show_listeners: bool = False
    mark: str = ""
    compared_to: str = ""


def add_figure_options(command: argparse.ArgumentParser) -> None:
    """Add the options from which `chosen` makes `Choices`."""
    group = command.add_argument_group("figures")
    group.add_argument("--figures", nargs="+", default=["main"], metavar="NAME",
                       help="main (default), all, or some of mushra, items, boxes, violins, listeners, "
                       "differences, ranks")  # fmt: skip
    add_labels(group)
    group.add_argument("--order", nargs="+", default=(), metavar="CONDITION",
                       help="conditions from left to right, those that are not named are not drawn; or mean: by "
                       "the mean (default: anchors, systems, reference)")  # fmt: skip
    group.add_argument("--show-listeners", action="store_true", help="draw each listener's means behind the means")
    group.add_argument("--mark", choices=MARKS, default="",
                       help="mark in the figure of means what differs at 5 %% by adjusted tests")  # fmt: skip
    group.add_argument("--compared-to", default="", metavar="CONDITION",
                       help="draw the differences of the other conditions to this one")  # fmt: skip
    add_look_options(command)


def add_labels(group: argparse._ArgumentGroup) -> None:
    """Add the option that names conditions in figures."""
    group.add_argument("--labels", nargs="+", action="extend", type=_label, default=[], metavar="CONDITION=NAME",
                       help="names of conditions, as prop=Ours")  # fmt: skip


def chosen(arguments: argparse.Namespace) -> Choices:
    """Return what the options of `add_figure_options` choose."""
    return Choices(
        chosen_look(arguments), dict(arguments.labels), tuple(canonical(name) for name in arguments.order),
        arguments.show_listeners, arguments.mark, canonical(arguments.compared_to),
    )  # fmt: skip


def _label(text: str) -> tuple[str, str]:
    condition, equals, name = text.partition("=")
    if not (condition and equals and name):
        raise argparse.ArgumentTypeError(f"{text!r} is not CONDITION=NAME")
    return canonical(condition), name
