"""Encoder and decoder for signals that arrive in pieces: `push` what is there, `finish` at the end.

The output does not depend on how the signal was cut or on the number of threads: it is bit for bit that of the
whole signal pushed at once (`codec.streaming.stream_layers`).
"""

from __future__ import annotations

from collections.abc import Iterable
from types import ModuleType
from weakref import WeakKeyDictionary

import numpy as np
import torch
from jaxtyping import Float32, Int
from numpy import ndarray
from torch import nn

from codec.rvqgan.codec import RVQGAN
from codec.streaming.latents import codebook_weights, latents
from codec.streaming.stream_layers import TILE_FRAMES, Stream, StreamLayer, fastest_layers, stream_layers
from codec.streaming.threads import thread_pool

_kept: WeakKeyDictionary[nn.Sequential, dict[ModuleType, list[StreamLayer]]] = WeakKeyDictionary()


def _layers(model: RVQGAN, network: nn.Sequential, computed_by: ModuleType) -> list[StreamLayer]:
    """Return the layers of the encoder or the decoder; those that are stored in a file are read once and kept."""
    if model.stored is None:
        return stream_layers(network, computed_by)
    kept = _kept.setdefault(network, {})
    if computed_by not in kept:
        kept[computed_by] = stream_layers(network, computed_by, model.stored)
    return kept[computed_by]


class StreamEncoder:
    """Streaming encoder: samples to codes.

    Parameters
    ----------
    model : RVQGAN
        With folded weight norm, on the CPU or a GPU. Encoding is always in float32, since in lower precision one
        code in ten changes.
    codebooks : int, optional
        All by default.
    threads : int, optional
        PyTorch's number by default. It affects the time, but never a code.
    tile_frames : int
        Frames that are computed at a time. Another value may change a code where two codebook vectors are equally
        near, so files are always made with the default.
    """

    def __init__(
        self,
        model: RVQGAN,
        codebooks: int | None = None,
        threads: int | None = None,
        tile_frames: int = TILE_FRAMES,
    ):
        config = model.config
        self._model, self._codebooks = model, codebooks
        self._hop, self._length = config.hop, 0
        self._threads = threads or torch.get_num_threads()
        self._tile = tile_frames * config.hop
        device = next(model.quantizer.parameters()).device
        layers = _layers(model, model.encoder.block, fastest_layers(device))
        self._stream = Stream(layers, config.channels, self._tile, self._threads, device=device)

    @property
    def latency_samples(self) -> int:
        """Maximum number of samples after a frame that must be pushed before its codes are returned."""
        return self._tile + self._stream.ahead

    def push(self, samples: Float32[ndarray, "channel time"]) -> Int[ndarray, "codebook frame"]:
        """Take any number of samples and return the codes that are complete."""
        self._length += samples.shape[1]
        return self._codes(self._stream.push(self._rows(samples)))

    def finish(self) -> Int[ndarray, "codebook frame"]:
        """Return the remaining codes; the last frame is padded with zeros."""
        padding = np.zeros((self._model.config.channels, -self._length % self._hop), np.float32)
        pushed = list(self._stream.push(self._rows(padding)))
        return self._codes([*pushed, *self._stream.finish()])

    @staticmethod
    def _rows(samples: Float32[ndarray, "channel time"]) -> torch.Tensor:
        return torch.from_numpy(
            np.array(samples.T, np.float32, order="C")
        )  # a copy: the caller may reuse its array

    def _codes(self, pieces: Iterable[torch.Tensor]) -> Int[ndarray, "codebook frame"]:
        count = self._codebooks or self._model.config.codebooks
        # The search runs in the pool, where PyTorch uses one thread: its result must not depend on their number.
        search = thread_pool(self._threads).submit
        found = [search(self._search, rows).result() for rows in pieces]
        return np.concatenate([np.zeros((count, 0), np.int64), *found], axis=1)

    @torch.inference_mode()
    def _search(self, rows: torch.Tensor) -> ndarray:
        if not len(rows):
            return np.zeros((self._codebooks or self._model.config.codebooks, 0), np.int64)
        return self._model.quantizer.encode(rows.t()[None], self._codebooks)[0].cpu().numpy()


class StreamDecoder:
    """Streaming decoder: codes to samples.

    Parameters
    ----------
    model, threads, tile_frames
        As for `StreamEncoder`.
    running : bool
        Whether to begin in the middle of a stream, at a multiple of `tile_frames`, instead of at its first frame.
        The first samples are then meaningless: `lag_samples` and those of `exact_context_frames`. All others
        are those of a decoder that began at frame 0, bit for bit.
    bf16 : bool
        Whether to convolve in bfloat16: faster on a GPU, with an error about 45 dB below the signal.
    """

    def __init__(
        self, model: RVQGAN, threads: int | None = None, tile_frames: int = TILE_FRAMES, running: bool = False,
        bf16: bool = False,
    ):  # fmt: skip
        config = model.config
        self._config = config
        self._threads = threads or torch.get_num_threads()
        self._tile = tile_frames
        device = next(model.quantizer.parameters()).device
        layers = _layers(model, model.decoder.model, fastest_layers(device, bf16))
        self._stream = Stream(layers, config.latent_dim, self._tile, self._threads, running, device, bf16)
        self._codebooks = codebook_weights(model.quantizer)

    @property
    def latency_frames(self) -> int:
        """Maximum number of frames after a frame that must be pushed before its samples are returned."""
        return self._tile + self._stream.ahead

    @property
    def lag_samples(self) -> int:
        """Samples at the beginning of a `running` decoder's output that belong to frames before its first."""
        return self._stream.lag

    def push(self, codes: Int[ndarray, "codebook frame"]) -> Float32[ndarray, "channel time"]:
        """Take the codes of any number of frames and return the samples that are complete.

        A codebook contributes nothing where its code is `ABSENT`. Any other code that the codebooks do not have
        raises `InputError`, and so do more codebooks than the model has.
        """
        return self._joined(self.pieces(codes))

    def pieces(self, codes: Int[ndarray, "codebook frame"]) -> list[Float32[ndarray, "channel time"]]:
        """Do what `push` does, but return the samples in the pieces that the network made, without a copy."""
        rows = torch.from_numpy(latents(codes, self._codebooks))
        return [made.cpu().numpy().T for made in self._stream.push(rows)]

    def finish(self) -> Float32[ndarray, "channel time"]:
        """Return the remaining samples."""
        return self._joined(self.last_pieces())

    def last_pieces(self) -> list[Float32[ndarray, "channel time"]]:
        """Do what `finish` does, but return the samples in pieces, without a copy."""
        return [made.cpu().numpy().T for made in self._stream.finish()]

    def _joined(self, pieces: Iterable[Float32[ndarray, "channel time"]]) -> Float32[ndarray, "channel time"]:
        return np.concatenate([np.zeros((self._config.channels, 0), np.float32), *pieces], axis=1)
