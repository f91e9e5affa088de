"""The training loop: data, update, log, save."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack, closing

import torch
from jaxtyping import Float
from torch import Tensor

from codec.training import checkpoint
from codec.training.audio_samples import write_samples
from codec.training.config import FREE_ON_RESUME, TrainConfig, check_compatible, refuse_other_settings
from codec.training.datasets import open_datasets
from codec.training.distributed import Processes, collect_interrupts, join_processes
from codec.training.excerpts import Draw, Excerpts
from codec.training.initialisation import fit_codebooks, initialise
from codec.training.metrics import Metrics, format_metrics
from codec.training.run_folder import Run, describe_run, locked
from codec.training.state import State
from codec.training.update import update
from codec.training.validation import ValidationSet, validate
from render.common.errors import InputError


def train(run: Run, until: int | None = None, resume: bool = False) -> None:
    """Train up to step `until`, by default to the end.

    Parameters
    ----------
    run : Run
    until : int, optional
        Step to stop at; the learning rate still follows the schedule of all `steps`.
    resume : bool
        Continue from the newest checkpoint, if there is one. On the same CPU the result has the same bits as that
        of an uninterrupted run.

    Raises
    ------
    InputError
        If settings, recordings or checkpoints do not fit together, if a loss is not finite (`NonFiniteError`), or
        if a checkpoint cannot be written.
    SystemExit
        With status 130 after SIGINT or SIGTERM, when the step is finished and saved.
    """
    config, until = run.config, min(until or run.config.steps, run.config.steps)
    with join_processes(run.device) as group, ExitStack() as stack:
        excerpts, validation = prepare(run, group)
        interrupts = stack.enter_context(collect_interrupts())
        steps = checkpoint.steps(run.checkpoints) if resume else []
        if steps:
            state, sums = restore(run, steps[-1], group)
        else:
            state, sums = begin(run, excerpts, validation, group), {}
        metrics = None
        if group.is_first:
            stack.enter_context(locked(run.folder))
            describe_run(run)  # only now that everything could be opened
            metrics = Metrics(run.folder, run.model, config, state.step, until)
            metrics.restore(sums)
        best_mel = checkpoint.best(run.checkpoints).get("val_mel", float("inf"))
        batches = stack.enter_context(closing(prefetched_batches(state, excerpts, config, group)))

        while state.step < until:
            losses = training_step(state, next(batches).to(group.device), excerpts, config, group)
            step, is_last, quantized = state.step, state.step == until, state.step > config.quantizer_start

            if metrics:
                metrics.add(step, losses)
            validated: dict[str, float] = {}
            if is_last or _due(step, config.validate_every):
                validated = validation_metrics(state, validation, quantized, group)
            if metrics and (validated or _due(step, config.log_every)):
                metrics.write(step, state.learning_rate, validated)
            if metrics and config.sample_every and (is_last or _due(step, config.sample_every)):
                write_samples(state.averaged, validation, quantized, run.folder / "samples", step)

            interrupted = group.any(bool(interrupts))
            if metrics and validated and quantized and validated["val_mel"] < best_mel:
                best_mel = validated["val_mel"]
                name = "model" if state.ema is None else "ema"
                weights = {name: state.averaged.state_dict()}
                checkpoint.save_best(run.checkpoints, step, weights, {**run.settings, "val_mel": best_mel})
            if metrics and (is_last or interrupted or _due(step, config.checkpoint_every)):
                checkpoint.save(run.checkpoints, step, state.checkpoint(metrics.state()), run.settings)
            if interrupted and not is_last:
                group.print(f"interrupted: {run.folder} is saved at step {step} and can be resumed there")
                raise SystemExit(130)


def training_step(
    state: State,
    batch: Float[Tensor, "item channel time"],
    excerpts: Excerpts,
    config: TrainConfig,
    group: Processes,
) -> dict[str, float]:
    """Make one step of the schedule: fit the codebooks if it is time, set the learning rate, `update`."""
    if 0 < state.step == config.quantizer_start:
        if group.is_first:
            residual = fit_codebooks(state.model, config, excerpts)
            if state.ema is not None:
                state.ema.quantizer.load_state_dict(state.model.quantizer.state_dict())
            group.print(f"k-means codebooks: {residual:.3f} of the variance of the latents is left")
        group.broadcast(state.tensors())
    state.learning_rate = learning_rate(config, state.step)
    return update(state, batch, config, group)


def learning_rate(config: TrainConfig, step: int) -> float:
    """Return the learning rate of a step: warm-up, exponential decay, linear decay to 3 % at the end."""
    warm_up = min(1.0, (step + 1) / max(config.warmup_steps, 1))
    left = (config.steps - step) / max(config.steps * config.decay_share, 1)
    return config.learning_rate * config.gamma**step * warm_up * min(1.0, left + 0.03)


def prepare(run: Run, group: Processes) -> tuple[Excerpts, ValidationSet]:
    """Check the settings against model, processes and recordings; return what to train on and to validate on."""
    config = run.config
    # Losses and the search of codes are matrix products, the networks are convolutions
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = False, config.tf32
    torch.backends.cudnn.benchmark = True
    if config.batch % (group.count * config.accumulate):
        raise InputError(
            f"batch = {config.batch} cannot be divided among {group.count} processes x accumulate = "
            f"{config.accumulate}"
        )
    check_compatible(run.model, config)
    return open_datasets(run, group)


def begin(run: Run, excerpts: Excerpts, validation: ValidationSet, group: Processes) -> State:
    """Return the state before the first step, the same in every process."""
    state = State(run.model, run.config, group.device)
    if group.is_first:
        initialise(state.model, run.config, excerpts)
        if state.ema is not None:
            state.ema.load_state_dict(state.model.state_dict())
    group.broadcast(state.tensors())
    if run.config.initialisation == "pca":
        found = validate(state.model, validation, False, group)
        group.print(f"PCA initialisation, without quantiser: {format_metrics(found)}")
    return state


def restore(run: Run, step: int, group: Processes) -> tuple[State, dict[str, Tensor]]:
    """Return the state in the checkpoint of a step, and the sums of the losses since the last row of metrics.csv.

    Raises
    ------
    InputError
        If the checkpoint is damaged, or of other settings. The number of steps may differ: `Run` decides it.
    """
    groups, stored = checkpoint.load(run.checkpoints / f"{step:07d}")
    refuse_other_settings(stored, run.model, run.config, str(run.folder), free=(*FREE_ON_RESUME, "steps"))
    state = State(run.model, run.config, group.device)
    sums = state.restore(groups, step)
    group.print(f"resumed at step {step}")
    return state, sums


def prefetched_batches(
    state: State, excerpts: Excerpts, config: TrainConfig, group: Processes
) -> Generator[Draw, None, None]:
    """Yield this process's items of every step from the present one on."""
    size = config.batch // group.count
    return excerpts.prefetch(state.step, size, rank=group.rank, pin=group.device.type == "cuda")


def validation_metrics(
    state: State, validation: ValidationSet, quantized: bool, group: Processes
) -> dict[str, float]:
    """Return the columns of metrics.csv that a validation fills."""
    found = validate(state.averaged, validation, quantized, group)
    perplexity = state.usage.perplexity()
    row = {"perplexity": float(perplexity.mean()), "perplexity_min": float(perplexity.min())}
    return row | {f"val_{name}": value for name, value in found.items()}


def _due(step: int, every: int) -> bool:
    return bool(every) and step % every == 0
