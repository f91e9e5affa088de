"""Repeat one step of a run, to find out what went wrong in it."""

from __future__ import annotations

from contextlib import closing

from codec.training import checkpoint
from codec.training.distributed import join_processes
from codec.training.run_folder import Run
from codec.training.state import State
from codec.training.trainer import begin, prefetched_batches, prepare, restore, training_step
from codec.training.update import NonFiniteError


def replay(run: Run, step: int) -> None:
    """Repeat a step from the newest checkpoint before it and print its losses and the origin of its items.

    Nothing is written. A loss that is not finite is printed like any other number.

    Parameters
    ----------
    run : Run
    step : int
        Number of the step, 1 to `steps`.
    """
    with join_processes(run.device) as group:
        excerpts, validation = prepare(run, group)
        earlier = [number for number in checkpoint.steps(run.checkpoints) if number < step]
        if earlier:
            state, _ = restore(run, earlier[-1], group)
        else:
            state = begin(run, excerpts, validation, group)
        with closing(prefetched_batches(state, excerpts, run.config, group)) as batches:
            for draw in batches:
                try:
                    losses = training_step(state, draw.to(group.device), excerpts, run.config, group)
                except NonFiniteError as error:
                    if error.step < step:
                        raise
                    losses = error.losses
                    break
                if state.step == step:
                    break
        group.print("\n".join(_report(state, step, losses, excerpts.sources(step - 1, run.config.batch))))


def _report(state: State, step: int, losses: dict[str, float], sources: list[str]) -> list[str]:
    """Return lines: losses, gradient norms, parameters that are not finite, the origin of each item."""
    lines = [f"step {step}, from the weights after step {step - 1}; nothing is written"]
    lines += [f"  {name:28}{value:.7g}" for name, value in losses.items()]
    for network, kind in ((state.model, "weight"), (state.model, "gradient"), (state.discriminator, "gradient")):
        parameters = network.named_parameters() if network else ()
        tensors = ((name, p if kind == "weight" else p.grad) for name, p in parameters)
        if bad := [name for name, tensor in tensors if tensor is not None and not bool(tensor.isfinite().all())]:
            lines.append(f"  {kind}s that are not finite: {', '.join(bad[:4])}{' ...' if len(bad) > 4 else ''}")
    return [*lines, *(f"  item {index}: {source}" for index, source in enumerate(sources))]
