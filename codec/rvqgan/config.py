"""The configuration of a model: everything that its architecture depends on."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from render.common.errors import InputError
from render.hoa.layout import layout

_INTEGER_RANGES = {
    "channels": (1, 256), "sample_rate_hz": (8_000, 192_000), "encoder_dim": (1, 1024), "decoder_dim": (1, 8192),
    "latent_dim": (1, 8192), "codebooks": (1, 64), "codebook_size": (2, 65_536), "codebook_dim": (1, 256),
}  # fmt: skip
MAX_HOP = 32_768
# Values of the fields that files written before these fields existed do not contain.
_DEFAULTS_OF_OLD_FILES = {"output_tanh": False, "side_layers": True, "layout": "", "euclidean_search": False}


@dataclass(frozen=True)
class ModelConfig:
    """Architecture of a model. The defaults are the paper's 16-channel model at 16 kbit/s.

    The names of the fields are stored in model files. Values out of range raise `InputError`.

    Attributes
    ----------
    channels : int
        Audio channels at the input and the output: (N + 1)² for Ambisonics of order N, or the number of
        loudspeakers of a layout.
    sample_rate_hz : int
    encoder_dim, decoder_dim : int
        Channels after the first convolution of the encoder and of the decoder.
    strides : tuple of int
        Downsampling factors of the encoder, all even; the decoder upsamples by the same factors in reverse
        order. Their product is the hop.
    latent_dim : int
        Channels of the latents.
    codebooks, codebook_size, codebook_dim : int
        Number of codebooks, number of vectors in each, and their dimension.
    dilations : tuple of int
        Dilations of the residual units; every block has one unit for each.
    euclidean_search : bool
        Whether the nearest vector of a codebook is chosen instead of the one with the largest cosine, which is
        the published choice. With strongly varying levels, a code must also convey the length of the latent.
    quantizer_dropout : float
        Share of the training items that are coded with fewer codebooks, 0 to 1.
    output_tanh : bool
        Whether a tanh limits the output, as in the published mono model. The paper's model has none.
    side_layers : bool
        Whether the streams of this model carry spatial side information (`codec.side_info`), so that the
        network codes principal components instead of the channels; not part of the paper. The hop must then be
        a multiple of 8.
    layout : str
        Name of the loudspeaker layout that the model codes, such as "4+7+0", or "" for Ambisonics.
    """

    channels: int = 16
    sample_rate_hz: int = 44_100
    encoder_dim: int = 64
    decoder_dim: int = 1536
    strides: tuple[int, ...] = (2, 4, 8, 8)
    latent_dim: int = 128
    codebooks: int = 18
    codebook_size: int = 1024
    codebook_dim: int = 8
    euclidean_search: bool = False
    dilations: tuple[int, ...] = (1, 3, 9)
    quantizer_dropout: float = 0.5
    output_tanh: bool = False
    side_layers: bool = False
    layout: str = ""

    def __post_init__(self):
        for name, (low, high) in _INTEGER_RANGES.items():
            value = getattr(self, name)
            if type(value) is not int or not low <= value <= high:
                raise _error(f"{name} = {value!r} must be an integer from {low} to {high}")
        even = _are_integers(self.strides, 2, 16) and not any(stride % 2 for stride in self.strides)
        if not even or not 1 <= len(self.strides) <= 8:
            raise _error(f"strides = {self.strides!r} must be 1 to 8 even integers from 2 to 16")
        if self.hop > MAX_HOP:
            raise _error(
                f"strides = {self.strides} give a hop of {self.hop} samples; at most {MAX_HOP} are allowed"
            )
        if self.decoder_dim % 2 ** len(self.strides):
            raise _error(
                f"decoder_dim = {self.decoder_dim} is halved {len(self.strides)} times and must be a multiple of "
                f"{2 ** len(self.strides)}"
            )
        if not _are_integers(self.dilations, 1, 81) or len(self.dilations) > 8:
            raise _error(f"dilations = {self.dilations!r} must be up to 8 integers from 1 to 81")
        for name in ("output_tanh", "side_layers", "euclidean_search"):
            if type(getattr(self, name)) is not bool:
                raise _error(f"{name} = {getattr(self, name)!r} must be true or false")
        if self.side_layers and self.hop % 8:
            raise _error(f"side_layers need a hop that is a multiple of 8, not {self.hop}")
        if type(self.quantizer_dropout) not in (int, float) or not 0.0 <= self.quantizer_dropout <= 1.0:
            raise _error(f"quantizer_dropout = {self.quantizer_dropout!r} must be a number from 0 to 1")
        # A model file must not name another file, so layouts given by TOML files are excluded.
        if type(self.layout) is not str or self.layout.endswith(".toml"):
            raise _error(f"layout = {self.layout!r} must be the name of a standard layout")
        if self.layout and len(layout(self.layout).labels) != self.channels:
            raise _error(f"layout {self.layout} does not have {self.channels} channels")

    @property
    def hop(self) -> int:
        """Samples per latent frame."""
        return math.prod(self.strides)

    @property
    def signal_layout(self) -> str:
        """Name of the loudspeaker layout, "ambiX" for a number of channels (N + 1)², or "" for any other."""
        if self.layout:
            return layout(self.layout).name
        return "ambiX" if math.isqrt(self.channels) ** 2 == self.channels else ""

    @property
    def bits_per_code(self) -> int:
        """Bits of one code in the bit stream."""
        return math.ceil(math.log2(self.codebook_size))

    def bitrate_bps(self, codebooks: int | None = None) -> float:
        """Bit rate of the codes in bit/s: 18 · 10 bit · 44100/512 Hz = 15504 for the paper's model."""
        return (codebooks or self.codebooks) * self.bits_per_code * self.sample_rate_hz / self.hop

    def as_json(self) -> dict[str, Any]:
        """Return the configuration as JSON values."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> ModelConfig:
        """Return the configuration that `as_json` described; unknown or missing names raise `InputError`."""
        names = set(cls.__dataclass_fields__)
        if not isinstance(values, dict) or set(_DEFAULTS_OF_OLD_FILES) | set(values) != names:
            raise _error(f"exactly the names {', '.join(sorted(names))} are needed")
        known = _DEFAULTS_OF_OLD_FILES | values
        fields: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in known.items()}
        return cls(**fields)


def _are_integers(values: Any, low: int, high: int) -> bool:
    """Return whether this is a tuple of integers in the given range."""
    return isinstance(values, tuple) and all(type(v) is int and low <= v <= high for v in values)


def _error(problem: str) -> InputError:
    return InputError(f"model configuration: {problem}")
