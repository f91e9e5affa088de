"""Short-time Fourier transform for training: cheap to differentiate, and computed once for all losses."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, wraps
from typing import ParamSpec, TypeVar

import torch
from jaxtyping import Complex, Float
from torch import Tensor

P = ParamSpec("P")
T = TypeVar("T")


@cache
def _hann(window: int, device: torch.device) -> Tensor:
    return torch.hann_window(window, device=device)


class _STFT(torch.autograd.Function):
    """Spectra of windowed frames of a signal with reflected edges, with a gradient of its own.

    PyTorch's gradient makes a full complex transform of every frame and adds up the frames element by element.
    Half a transform and `window / hop` additions of whole slices suffice.
    """

    @staticmethod
    def forward(context, x: Tensor, window: int, hop: int, before: int, after: int) -> Tensor:
        context.sizes = x.shape[-1], window, hop, before, after
        end = x.shape[-1] - 1
        padded = torch.cat([x[:, 1 : before + 1].flip(1), x, x[:, end - after : end].flip(1)], 1)
        return torch.stft(padded, window, hop, window=_hann(window, x.device), center=False, return_complex=True)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(context, gradient: Tensor):  # type: ignore[override]
        length, window, hop, before, after = context.sizes
        # The inverse transform counts the bins between 0 Hz and the Nyquist frequency twice, the forward one once.
        half = gradient.mT.contiguous()
        half[..., 1:-1] *= 0.5
        frames = torch.fft.irfft(half, window, norm="forward") * _hann(window, gradient.device)
        items, count, overlap = *frames.shape[:2], window // hop
        padded = frames.new_zeros(items, max(before + length + after, (count + overlap - 1) * hop))
        hops = padded[:, : (count + overlap - 1) * hop].unflatten(1, (-1, hop))
        for index, part in enumerate(frames.unflatten(2, (overlap, hop)).unbind(2)):
            hops[:, index : index + count] += part
        x = padded[:, before : before + length].clone()
        x[:, 1 : before + 1] += padded[:, :before].flip(1)
        x[:, length - 1 - after : length - 1] += padded[:, before + length : before + length + after].flip(1)
        return x, None, None, None, None


class _Magnitude(torch.autograd.Function):
    """Absolute value of complex numbers, in half the time of PyTorch's own on a CPU, forward and backward."""

    @staticmethod
    def forward(context, spectrum: Tensor) -> Tensor:
        real, imaginary = spectrum.real, spectrum.imag
        magnitude = torch.addcmul(real * real, imaginary, imaginary).sqrt_()
        context.save_for_backward(spectrum, magnitude)
        return magnitude

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(context, gradient: Tensor):  # type: ignore[override]
        spectrum, magnitude = context.saved_tensors
        return spectrum * (gradient / magnitude.clamp_min(1e-12))  # 0 where the spectrum is 0


def magnitude(spectrum: Complex[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Return the absolute value; its gradient at 0 is 0."""
    return _Magnitude.apply(spectrum)


def stft(
    x: Float[Tensor, "*batch time"], window: int, hop: int, edges: tuple[int, int] | None = None
) -> Complex[Tensor, "*batch bin frame"]:
    """Short-time Fourier transform in float32: periodic Hann window, reflected edges, not normalised.

    Parameters
    ----------
    x : float (*batch, time)
    window, hop : int
        In samples; the window must be a multiple of the hop.
    edges : (int, int), optional
        Number of reflected samples before and after the signal, each less than its length. By default half a
        window each, so that frame k is centred at sample k · hop.

    Returns
    -------
    complex64 (*batch, window / 2 + 1, frame)

    Raises
    ------
    ValueError
        If the signal is too short for its edges, or the window is not a multiple of the hop.
    """
    before, after = edges or (window // 2, window // 2)
    if window % hop or not max(before, after) < x.shape[-1]:
        raise ValueError(f"stft of {x.shape[-1]} samples with window {window}, hop {hop}, edges {before}, {after}")
    with torch.autocast(x.device.type, enabled=False):
        spectrum = _STFT.apply(x.float().reshape(-1, x.shape[-1]), window, hop, before, after)
    return spectrum.view(*x.shape[:-1], *spectrum.shape[-2:])


class Spectra:
    """Spectra of one signal; each transform is computed once and shared by all losses that need it.

    ``spectra(2048, 512)`` serves the mel distance, whose hop is a quarter of the window, and all losses per band.
    Every transform is kept, which takes 16 bytes per sample, channel and window (at 75 % overlap).
    """

    def __init__(self, signal: Float[Tensor, "batch channel time"]):
        self.signal = signal.contiguous()  # a decoder's output has the channels last in memory
        self._computed: dict[tuple[int, int], Tensor] = {}

    @property
    def device(self) -> torch.device:
        """The device of the signal."""
        return self.signal.device

    def __call__(self, window: int, hop: int) -> Complex[Tensor, "batch channel bin frame"]:
        """Return the `stft` of the signal."""
        if (window, hop) not in self._computed:
            self._computed[window, hop] = stft(self.signal, window, hop)
        return self._computed[window, hop]

    def of_channels(self, channels: list[int]) -> Spectra:
        """Return the spectra of some channels; what is computed of all channels by now is not computed again."""
        part = Spectra(self.signal[:, channels])
        part._computed = {size: transform[:, channels] for size, transform in self._computed.items()}
        return part


def spectrum(signal: Tensor | Spectra, window: int, hop: int) -> Complex[Tensor, "*batch bin frame"]:
    """Return the `stft` of a signal, which is looked up if its `Spectra` are given."""
    return signal(window, hop) if isinstance(signal, Spectra) else stft(signal, window, hop)


def full_precision(loss: Callable[P, T]) -> Callable[P, T]:
    """Decorate a loss so that autocast is off in it: matrix products in half precision change its third digit."""

    @wraps(loss)
    def computed(*arguments: P.args, **options: P.kwargs) -> T:
        device = next(a.device for a in arguments if isinstance(a, Tensor | Spectra))
        with torch.autocast(device.type, enabled=False):
            return loss(*arguments, **options)

    return computed
