"""libopus by ctypes: the multistream and projection (Ambisonics) interfaces, which opuslib does not wrap."""

from __future__ import annotations

import ctypes
import os
import warnings
from collections.abc import Iterable
from ctypes import POINTER, byref, c_char_p, c_float, c_int, c_int32, c_ubyte, c_void_p
from functools import cache

import numpy as np
from jaxtyping import Float32, Float64
from numpy import ndarray

from listening.opus_codec.ogg_opus import SAMPLE_RATE_HZ, OpusHead
from listening.opus_codec.packet import MAX_PACKET_SAMPLES
from render.common.errors import InputError

LIBRARY_VARIABLE = "HOA_OPUS_LIB"
FRAME_SAMPLES = 960  # 20 ms
PACKET_ROOM_BYTES = 4000  # for each stream; what opus.h recommends

# opus_defines.h and opus_projection.h
APPLICATION_AUDIO = 2049
AUTO, SIGNAL_MUSIC, BANDWIDTH_FULLBAND = -1000, 3002, 1105
SET_BITRATE, SET_VBR, SET_BANDWIDTH, SET_COMPLEXITY = 4002, 4006, 4008, 4010
SET_SIGNAL, GET_LOOKAHEAD, SET_GAIN = 4024, 4027, 4034
GET_DEMIXING_GAIN, GET_DEMIXING_SIZE, GET_DEMIXING_MATRIX = 6001, 6003, 6005

_INSTALL = (
    "Debian/Ubuntu: apt-get install libopus0; Fedora: dnf install opus; macOS: brew install opus; or name its "
    "file in HOA_OPUS_LIB. The other conditions can be built with --skip opus"
)
_SIGNATURES = {
    "opus_get_version_string": (c_char_p, []),
    "opus_strerror": (c_char_p, [c_int]),
    "opus_projection_ambisonics_encoder_create": (
        c_void_p,
        [c_int32, c_int, c_int, POINTER(c_int), POINTER(c_int), c_int, POINTER(c_int)],
    ),
    "opus_projection_encode_float": (c_int32, [c_void_p, POINTER(c_float), c_int, POINTER(c_ubyte), c_int32]),
    "opus_projection_encoder_destroy": (None, [c_void_p]),
    "opus_projection_decoder_create": (
        c_void_p,
        [c_int32, c_int, c_int, c_int, c_char_p, c_int32, POINTER(c_int)],
    ),
    "opus_projection_decode_float": (c_int, [c_void_p, c_char_p, c_int32, POINTER(c_float), c_int, c_int]),
    "opus_projection_decoder_destroy": (None, [c_void_p]),
    "opus_multistream_surround_encoder_create": (
        c_void_p,
        [c_int32, c_int, c_int, POINTER(c_int), POINTER(c_int), POINTER(c_ubyte), c_int, POINTER(c_int)],
    ),
    "opus_multistream_encode_float": (
        c_int32,
        [c_void_p, POINTER(c_float), c_int, POINTER(c_ubyte), c_int32],
    ),
    "opus_multistream_encoder_destroy": (None, [c_void_p]),
    "opus_multistream_decoder_create": (
        c_void_p,
        [c_int32, c_int, c_int, c_int, c_char_p, POINTER(c_int)],
    ),
    "opus_multistream_decode_float": (c_int, [c_void_p, c_char_p, c_int32, POINTER(c_float), c_int, c_int]),
    "opus_multistream_decoder_destroy": (None, [c_void_p]),
    # Variadic: ctypes passes what follows the declared arguments by the platform's variadic convention
    "opus_projection_encoder_ctl": (c_int, [c_void_p, c_int]),
    "opus_projection_decoder_ctl": (c_int, [c_void_p, c_int]),
    "opus_multistream_encoder_ctl": (c_int, [c_void_p, c_int]),
    "opus_multistream_decoder_ctl": (c_int, [c_void_p, c_int]),
}


@cache
def library() -> ctypes.CDLL:
    """Return libopus: the file that ``HOA_OPUS_LIB`` names, else the one that opuslib finds on the system.

    Raises
    ------
    InputError
        If there is none, or one older than 1.3 (it lacks the projection interface); says how to install it.
    """
    path = os.environ.get(LIBRARY_VARIABLE)
    try:
        handle = ctypes.CDLL(path) if path else _system_library()
    except OSError as error:
        raise InputError(f"{LIBRARY_VARIABLE}={path}: not a library that can be loaded ({error})") from None
    for name, (result, arguments) in _SIGNATURES.items():
        try:
            function = getattr(handle, name)
        except AttributeError:
            raise InputError(
                f"Opus library {handle._name} has no {name}: need libopus >= 1.3 with Ambisonics. {_INSTALL}"
            ) from None
        function.restype, function.argtypes = result, arguments
    return handle


def _system_library() -> ctypes.CDLL:
    """Return the library that opuslib finds: that is all it serves for here, since it wraps no Ambisonics."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # opuslib compares with `is`
            from opuslib.api import libopus  # raises where the library is missing
    except Exception as error:  # opuslib raises a bare Exception when it finds no library
        raise InputError(f"Opus library (libopus >= 1.3) not found. {_INSTALL}") from error
    return libopus


def version() -> str:
    """Return the library's own name, as ``libopus 1.3.1``."""
    return library().opus_get_version_string().decode()


class OpusError(RuntimeError):
    """libopus refused a call."""


def _checked(status: int, call: str) -> int:
    if status < 0:
        raise OpusError(f"{call}: {library().opus_strerror(status).decode()} ({status})")
    return status


class Encoder:
    """A libopus encoder of an Ambisonic scene, for use in a ``with`` statement.

    Parameters
    ----------
    channels : int
    family : int
        Channel mapping family: 2 or 3 (RFC 8486), or 255: streams without a meaning (RFC 7845 §5.1.1.3).
    controls : pairs of (request, value)
        Settings of the encoder, `SET_...` above.

    Raises
    ------
    InputError
        If the family of this libopus has no encoder for so many channels.
    """

    def __init__(self, channels: int, family: int, controls: Iterable[tuple[int, int]]):
        self.channels, self.family = channels, family
        self._api = "projection" if family == 3 else "multistream"
        streams, coupled, error, table = c_int(), c_int(), c_int(), (c_ubyte * 255)()
        counts = byref(streams), byref(coupled)
        if family == 3:
            create = library().opus_projection_ambisonics_encoder_create
            self._state = create(SAMPLE_RATE_HZ, channels, 3, *counts, APPLICATION_AUDIO, byref(error))
        else:
            create = library().opus_multistream_surround_encoder_create
            self._state = create(SAMPLE_RATE_HZ, channels, family, *counts, table, APPLICATION_AUDIO, byref(error))
        if not self._state or error.value:
            possible = (
                "4, 9 or 16 channels are possible (orders 1 to 3), from libopus 1.5 on also 25 and 36"
                if family == 3
                else "(N+1)² channels are possible"
            )
            raise InputError(f"{version()} has no family {family} encoder of {channels} channels: {possible}")
        self.streams, self.coupled = streams.value, coupled.value
        self._table = bytes(table[:channels])
        self._packet = (c_ubyte * (PACKET_ROOM_BYTES * self.streams))()
        for request, value in controls:
            self._control(request, c_int32(value))

    def __enter__(self) -> Encoder:
        return self

    def __exit__(self, *exception: object) -> None:
        getattr(library(), f"opus_{self._api}_encoder_destroy")(self._state)
        self._state = None

    def _control(self, request: int, *arguments: object) -> None:
        control = getattr(library(), f"opus_{self._api}_encoder_ctl")
        _checked(control(self._state, request, *arguments), f"encoder control {request}")

    def _value(self, request: int) -> int:
        value = c_int32()
        self._control(request, byref(value))
        return value.value

    def head(self, input_rate_hz: int) -> OpusHead:
        """Return the identification header of this encoder's packets."""
        gain, mapping = 0, self._table
        if self.family == 3:
            matrix = (c_ubyte * self._value(GET_DEMIXING_SIZE))()
            self._control(GET_DEMIXING_MATRIX, matrix, c_int32(len(matrix)))
            gain, mapping = self._value(GET_DEMIXING_GAIN), bytes(matrix)
        pre_skip = self._value(GET_LOOKAHEAD)
        return OpusHead(
            self.channels, pre_skip, input_rate_hz, gain, self.family, self.streams, self.coupled, mapping
        )

    def encode(self, frame: Float32[ndarray, "time acn"], size: int | None = None) -> bytes:
        """Encode one frame, 2.5 to 60 ms of interleaved samples at 48 kHz; `size`: into so many bytes."""
        if size is not None:
            self._control(SET_BITRATE, c_int32(size * 8 * SAMPLE_RATE_HZ // len(frame)))
        if frame.dtype != np.float32 or not frame.flags.c_contiguous or frame.shape[1] != self.channels:
            raise TypeError(f"need contiguous float32 (time, {self.channels}), got {frame.dtype} {frame.shape}")
        room = len(self._packet) if size is None else size
        made = getattr(library(), f"opus_{self._api}_encode_float")(
            self._state, frame.ctypes.data_as(POINTER(c_float)), len(frame), self._packet, room
        )
        return ctypes.string_at(self._packet, _checked(made, "encode"))


class Decoder:
    """A libopus decoder at 48 kHz for streams of the given header, for use in a ``with`` statement."""

    def __init__(self, head: OpusHead):
        self._api = "projection" if head.family == 3 else "multistream"
        self._pcm = np.empty((MAX_PACKET_SAMPLES, head.channels), np.float32)
        counts, error = (SAMPLE_RATE_HZ, head.channels, head.streams, head.coupled), c_int()
        size = (len(head.mapping),) if head.family == 3 else ()
        create = getattr(library(), f"opus_{self._api}_decoder_create")
        self._state = create(*counts, head.mapping, *size, byref(error))
        _checked(error.value, f"{self._api} decoder of {head.channels} channels")
        control = getattr(library(), f"opus_{self._api}_decoder_ctl")
        _checked(control(self._state, SET_GAIN, c_int32(head.output_gain_q8)), "decoder gain")

    def __enter__(self) -> Decoder:
        return self

    def __exit__(self, *exception: object) -> None:
        getattr(library(), f"opus_{self._api}_decoder_destroy")(self._state)
        self._state = None

    def decode(self, packet: bytes) -> Float32[ndarray, "time acn"]:
        """Decode one packet; raise `OpusError` where libopus finds it corrupted."""
        pcm = self._pcm.ctypes.data_as(POINTER(c_float))
        samples = getattr(library(), f"opus_{self._api}_decode_float")(
            self._state, packet, len(packet), pcm, MAX_PACKET_SAMPLES, 0
        )
        return self._pcm[: _checked(samples, "decode")].copy()


def demixing_matrix(head: OpusHead) -> Float64[ndarray, "acn coded"]:
    """Return the matrix from a family 3 stream's coded channels to Ambisonics, with the header's gain."""
    if head.family != 3:
        raise ValueError(f"family {head.family} has no demixing matrix")
    coefficients = np.frombuffer(head.mapping, "<i2") / 32768
    return coefficients.reshape(-1, head.channels).T * 10 ** (head.output_gain_q8 / (20 * 256))


@cache
def mixing_matrix(channels: int) -> Float32[ndarray, "coded acn"]:
    """Return the matrix from Ambisonics to the channels that family 3 codes: the demixing matrix inverted."""
    with Encoder(channels, 3, ()) as encoder:
        return np.linalg.inv(demixing_matrix(encoder.head(SAMPLE_RATE_HZ))).astype(np.float32)
