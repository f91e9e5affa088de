"""Encoder and decoder for signals that arrive bit by bit: `push` what is there, `finish` at the end.

What comes out does not depend on how the signal was cut or on the number of threads, and is what the whole signal
at once gives, bit for bit (`codec.streaming.stream_layers` says how).
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from jaxtyping import Float32, Int
from numpy import ndarray

from codec.bitstream.format import ABSENT
from codec.rvqgan.codec import RVQGAN
from codec.streaming.stream_layers import TILE_FRAMES, Stream, stages, workers
from render.common.errors import InputError


class StreamEncoder:
    """Streaming encoder: samples in, codes out.

    Parameters
    ----------
    model : RVQGAN
        Folded, on the processor or a GPU. Encoding is always in float32: in less, one code in ten changes.
    gain : float
        Applied to the samples; the model expects channel 0 at `LEVEL_DBFS`.
    codebooks : int, optional
    threads : int, optional
        PyTorch's number by default; changes the time, never a code.
    tile_frames : int
        Frames computed at a time. Codes are the same for every cut of the input; another tile may change a code
        where two codebook rows are equally near, so files are always made with the default.
    """

    def __init__(
        self, model: RVQGAN, gain: float = 1.0, codebooks: int | None = None, threads: int | None = None,
        tile_frames: int = TILE_FRAMES,
    ):  # fmt: skip
        config = model.config
        self._model, self._gain, self._codebooks = model, np.float32(gain), codebooks
        self._hop, self._length = config.hop, 0
        self._threads = threads or torch.get_num_threads()
        self._tile = tile_frames * config.hop
        device = next(model.parameters()).device
        self._stream = Stream(
            stages(model.encoder.block), config.channels, self._tile, self._threads, device=device
        )

    @property
    def latency_samples(self) -> int:
        """Samples that must have been pushed behind a frame before its codes come out, at most."""
        return self._tile + self._stream.ahead

    def push(self, samples: Float32[ndarray, "channel time"]) -> Int[ndarray, "codebook frame"]:
        """Take any number of samples, return the codes that became known."""
        self._length += samples.shape[1]
        return self._codes(self._stream.push(self._rows(samples * self._gain)))

    def finish(self) -> Int[ndarray, "codebook frame"]:
        """Return the remaining codes; the last frame is filled up with zeros."""
        fill = np.zeros((self._model.config.channels, -self._length % self._hop), np.float32)
        pushed = list(self._stream.push(self._rows(fill)))
        return self._codes([*pushed, self._stream.finish()])

    @staticmethod
    def _rows(samples: Float32[ndarray, "channel time"]) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(samples.T))

    def _codes(self, latents: Iterable[torch.Tensor]) -> Int[ndarray, "codebook frame"]:
        count = self._codebooks or self._model.config.codebooks
        # in one of the workers, where PyTorch uses one thread: the search must not depend on their number
        search = workers(self._threads).submit
        found = [search(self._search, rows).result() for rows in latents]
        return np.concatenate([np.zeros((count, 0), np.int64), *found], axis=1)

    @torch.inference_mode()
    def _search(self, rows: torch.Tensor) -> ndarray:
        if not len(rows):
            return np.zeros((self._codebooks or self._model.config.codebooks, 0), np.int64)
        return self._model.quantizer.encode(rows.t()[None], self._codebooks)[0].cpu().numpy()


class StreamDecoder:
    """Streaming decoder: codes in, samples out. Parameters as in `StreamEncoder`.

    Parameters
    ----------
    running : bool
        Begin as in the middle of a stream instead of at its first frame, at a multiple of `tile_frames`. The
        first samples, `lag_samples` and as many as the network looks back, mean nothing; what follows is what a
        decoder gives that began at frame 0, bit by bit.
    bf16 : bool
        Convolve in bfloat16: faster on a GPU, about 45 dB below the signal away from float32.
    """

    def __init__(
        self, model: RVQGAN, gain: float = 1.0, threads: int | None = None, tile_frames: int = TILE_FRAMES,
        running: bool = False, bf16: bool = False,
    ):  # fmt: skip
        config = model.config
        self._model, self._gain = model, np.float32(gain)
        self._threads = threads or torch.get_num_threads()
        self._tile = tile_frames
        device = next(model.parameters()).device
        self._stream = Stream(
            stages(model.decoder.model), config.latent_dim, self._tile, self._threads, running, device, bf16
        )
        self._tables = workers(self._threads).submit(code_tables, model).result()

    @property
    def latency_frames(self) -> int:
        """Frames that must have been pushed behind one before its samples come out, at most."""
        return self._tile + self._stream.ahead

    @property
    def lag_samples(self) -> int:
        """Samples at the beginning of a `running` decoder's output that belong to frames before its first."""
        return self._stream.lag

    def push(self, codes: Int[ndarray, "codebook frame"]) -> Float32[ndarray, "channel time"]:
        """Take the codes of any number of frames (`ABSENT` leaves a codebook out), return the finished samples."""
        return self._samples(self._stream.push(self._latents(codes)))

    def finish(self) -> Float32[ndarray, "channel time"]:
        """Return the remaining samples."""
        return self._samples([self._stream.finish()])

    def _latents(self, codes: Int[ndarray, "codebook frame"]) -> torch.Tensor:
        size = self._model.config.codebook_size
        if codes.size and not ABSENT <= codes.min() <= codes.max() < size:
            raise InputError(f"codes from {codes.min()} to {codes.max()}; the codebooks have 0 to {size - 1}")
        indices = torch.from_numpy(np.where(codes == ABSENT, size, codes))
        total = torch.zeros(codes.shape[1], self._model.config.latent_dim)
        for table, row in zip(self._tables, indices, strict=False):
            total += table[row]
        return total

    def _samples(self, rows: Iterable[torch.Tensor]) -> Float32[ndarray, "channel time"]:
        parts = [part.cpu().numpy().T / self._gain for part in rows]
        return np.concatenate([np.zeros((self._model.config.channels, 0), np.float32), *parts], axis=1)


@torch.inference_mode()
def code_tables(model: RVQGAN) -> list[torch.Tensor]:
    """What each code of each codebook adds to the latents, (size + 1, latent); the last row, of `ABSENT`, is 0.

    Adding rows has no order of summation within a frame that could depend on how many frames come at once.
    """
    size, latent = model.config.codebook_size, model.config.latent_dim
    tables = []
    for book in model.quantizer.codebooks:
        table = torch.zeros(size + 1, latent)
        table[:size] = book.out_proj(book.codebook.weight.t()[None])[0].t()
        tables.append(table)
    return tables
