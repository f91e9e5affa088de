"""All measures between a reference scene and a test scene: names, units, blind spots, and their computation.

The measures are computed by modules with the same four functions: ``describe`` a segment of one scene, ``compare``
two descriptions into sums over time, ``conclude`` the measures from the sums, and ``evaluate``, the three together
for two scenes in memory. A reference is therefore described only once for all of its tests, the memory does not
depend on the length of the scenes, and segments may be processed in any order.

=================  =================================================================================
module             measures
=================  =================================================================================
`covariance`       eq. 3 of the paper over the whole band, levels of channels and orders, SI-SDR
`waveform`         signal-to-noise ratio at low frequencies
`spectral`         mel, STFT and log-spectral distances
`spatial`          eq. 3 in bands, direction and diffuseness (DirAC), energy maps, loudspeaker feeds
`banded`           direction and levels of the orders, with equal weight of all bands
`interaural`       level and time differences, coherence, loudness and its spectrum at the ears of a sphere
`ambiqual`         AMBIQUAL
`fine_structure`   what is left of spectra and envelopes without their levels in bands and slots
`onsets`           pre-echo, levels of attacks
`tonality`         partials in noise, added lines
`noise_texture`    musical noise: peaks and holes in noise
`visqol`           ViSQOL of W (optional; for whole signals, so that it has ``visqol`` alone)
`intelligibility`  ESTOI of W (where the material is speech; ``estoi`` alone, likewise)
=================  =================================================================================

To add a measure, add it to the result of a module's ``conclude`` and to `MEASURES`; docs/measures.md defines it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Complex64, Float32, Float64
from numpy import ndarray

from analysis.metrics import (
    ambiqual,
    banded,
    covariance,
    fine_structure,
    interaural,
    noise_texture,
    onsets,
    spatial,
    spectral,
    tonality,
    waveform,
)
from analysis.metrics.framing import Reader, Segment, array_reader, check_level, segments
from render.common.errors import InputError
from render.hoa.scene import Scene


@dataclass(frozen=True)
class Measure:
    """Meaning of a column of the table of results.

    Attributes
    ----------
    name : str
    unit : str
        Empty for numbers without a unit.
    ideal : float or None
        Value of a perfect copy; None for properties of a codec or a file, which have no ideal.
    blind : str
        What the measure is blind to.
    """

    name: str
    unit: str
    ideal: float | None
    blind: str


MEASURES = (
    Measure("cov_sum", "", 0.0, "levels, panning of a single source, normalisation, polarity"),
    Measure("cov_mean", "", 0.0, "as cov_sum"),
    Measure("covband_mean", "", 0.0, "levels, spectrum, panning of a single source"),
    Measure("covu_rel", "", 0.0, "timbre; dominated by the loudest band and channels"),
    Measure("covuband_rel", "", 0.0, "phase; bands count alike however quiet"),
    Measure("mel_train", "", 0.0, "everything between channels: signs, mirror; phase"),
    Measure("mel_W", "", 0.0, "every channel but W; phase"),
    Measure("mel_ls", "", 0.0, "phase between loudspeakers"),
    Measure("mel_eval", "", 0.0, "everything between channels; phase"),
    Measure("stft_eval", "", 0.0, "everything between channels; phase"),
    Measure("lsd_db", "dB", 0.0, "everything between channels; dominated by the quietest bins"),
    Measure("sisdr_W_db", "dB", 100.0, "gain, polarity; meaningless for generative decoders"),
    Measure("sisdr_mean_db", "dB", 100.0, "gain, polarity; meaningless for generative decoders"),
    Measure("snr_lf_db", "dB", 100.0, "everything above 500 Hz"),
    Measure("chlvl_db", "dB", 0.0, "everything but the long-term level of each channel"),
    *(Measure(f"ord{n}_db", "dB", 0.0, "everything but the long-term level of the order") for n in range(8)),
    *(Measure(f"ord{n}_band_db", "dB", 0.0, "everything but the order's long-term spectrum") for n in range(8)),
    Measure("doa_deg", "deg", 0.0, "timbre, gain, orders above 1; two sources at once are one"),
    Measure("doa_band_deg", "deg", 0.0, "as doa_deg; a quiet band counts as much as a loud one"),
    Measure("diff_mae", "", 0.0, "direction, timbre, gain, orders above 1"),
    Measure("diff_bias", "", 0.0, "as diff_mae; errors of both signs cancel"),
    Measure("map_corr", "", 1.0, "gain, timbre"),
    Measure("map_lsd_db", "dB", 0.0, "phase"),
    Measure("map_jsd_bits", "bit", 0.0, "gain, timbre"),
    Measure("rE_ang_deg", "deg", 0.0, "gain, timbre; two sources at once are one"),
    Measure("rE_mag", "", 0.0, "direction, gain, timbre"),
    Measure("ls_lvl_db", "dB", 0.0, "phase between loudspeakers"),
    Measure("ls_cld_db", "dB", 0.0, "gain and timbre common to all loudspeakers, phase"),
    Measure("ls_covband", "", 0.0, "levels"),
    Measure("ild_db", "dB", 0.0, "front against back, elevation, common timbre"),
    Measure("itd_us", "us", 0.0, "front against back, elevation; above 1.5 kHz everything"),
    Measure("iacc", "", 0.0, "direction, gain, timbre"),
    Measure("ear_loud_db", "dB", 0.0, "direction; bands that grow against bands that shrink"),
    Measure("ear_colour_db", "dB", 0.0, "gain; direction as far as both ears together are alike; time"),
    Measure("aq_lq", "", 1.0, "everything but W's phase; unfit for generative codecs"),
    Measure("aq_la", "", 1.0, "everything but phase; unfit for generative codecs"),
    Measure("visqol_W", "", 4.732, "every channel but W; optional package visqol-python"),
    Measure("kbps", "kbit/s", None, "measured from the payload's bytes"),
    Measure("rtf_enc", "", None, "encoding time over duration, as the build noted it"),
    Measure("rtf_dec", "", None, "decoding time over duration, as the build noted it"),
    Measure("params", "", None, "parameters of a neural codec"),
    Measure("macs_per_s", "1/s", None, "multiplications per second of audio"),
    Measure("latency_ms", "ms", None, "algorithmic delay"),
    Measure("lag_samples", "", None, "delay that was found and taken away"),
    Measure("align_corr", "", None, "correlation with the reference after that"),
    Measure("silent_channels", "", None, "channels that the test has lost"),
    *(
        Measure(f"{kind}_{group}_{name}", "", 1.0, blind)
        for kind, blind in (
            ("fine", "levels, directions, everything slower than a frame; phase"),
            ("env", "levels, directions, pitch; everything slower than 50 ms; phase"),
        )
        for group in fine_structure.GROUPS
        for name in fine_structure.RANGES_HZ
    ),
    *(
        Measure(f"pre_{far}_db", "dB", onsets.FLOOR_DB, "everything but what precedes sudden onsets of W")
        for _, far in onsets.INTERVALS_MS
    ),
    Measure("attack_db", "dB", 0.0, "everything but the level of W in the 50 ms from sudden onsets on"),
    Measure("tone_noise_db", "dB", 0.0, "everything but stable partials of W; their level"),
    *(
        Measure(f"line_{hop}_db", "dB", 0.0, "everything but steady tones of W at these frequencies")
        for hop in tonality.LINE_HOPS
    ),
    Measure("musical_db", "dB", 0.0, "everything but peaks and holes in what is noise in W; level"),
    Measure("estoi_W", "", 1.0, "every channel but W; timbre above 4.3 kHz; for speech only"),
)
FACTS = ("kbps", "rtf_enc", "rtf_dec", "params", "macs_per_s", "latency_ms")
"""Columns that are copied from the manifest of a built test, where it has them."""


@dataclass(frozen=True)
class ReferenceLevels:
    """Levels of the whole reference, which must be known before a segment can be compared.

    Attributes
    ----------
    largest_power : float
        Largest |X|² of its shared spectrum, which sets the floor of the log-spectral distance.
    loudspeaker_power : float
        Variance of the loudest loudspeaker of its 7.1.4 decoding.
    """

    largest_power: float
    loudspeaker_power: float


def reference_levels(
    reference: Reader, total: int, sample_rate_hz: int, name: str = "the reference"
) -> ReferenceLevels:
    """Read a reference of `total` samples once and return its levels; `name` stands in the message of an error.

    Raises
    ------
    InputError
        If the reference is silent: nothing can be compared with silence.
    """
    largest = 0.0
    sums: covariance.Moments | None = None
    for segment in segments(reference, total, sample_rate_hz):
        largest = max(largest, spectral.largest_power(segment))
        here = covariance.compare(segment.samples, segment.samples)
        sums = here if sums is None else sums + here
    if sums is None or not covariance.active(sums.covariances()[0]).any():
        raise InputError(f"{name} is silent (every channel under -100 dB re full scale)")
    return ReferenceLevels(largest, spatial.loudspeaker_power(sums.covariances()[0]))


@dataclass(frozen=True, eq=False)
class Description:
    """A segment of a scene as the modules describe it; see their ``describe``."""

    samples: Float32[ndarray, "acn time"]
    low_spectrum: Complex64[ndarray, "acn frame bin"]
    magnitudes: spectral.Magnitudes
    field: spatial.Field
    cues: interaural.Cues
    patches: ambiqual.Patches
    fine: fine_structure.FineStructure
    steps: onsets.Steps
    tones: tonality.Spectrum
    texture: noise_texture.Texture


@dataclass(frozen=True, eq=False)
class Sums:
    """Sums over time of the comparison of two scenes; those of consecutive segments are added."""

    moments: covariance.Moments
    waveform: Float64[ndarray, " 3"]
    spectral: spectral.SpectralSums
    spatial: spatial.SpatialSums
    banded: banded.BandSums
    cues: interaural.CueSums
    similarity: ambiqual.SimilaritySums
    fine: fine_structure.FineSums
    steps: onsets.StepPowers
    tones: tonality.ToneSums
    texture: Float64[ndarray, " 3"]

    def __add__(self, other: Sums) -> Sums:
        return Sums(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))


def describe(segment: Segment) -> Description:
    """Describe a segment of a scene."""
    return Description(
        covariance.describe(segment),
        waveform.describe(segment),
        spectral.describe(segment),
        spatial.describe(segment),
        interaural.describe(segment),
        ambiqual.describe(segment),
        fine_structure.describe(segment),
        onsets.describe(segment),
        tonality.describe(segment),
        noise_texture.describe(segment),
    )


def compare(reference: Description, test: Description, levels: ReferenceLevels) -> Sums:
    """Compare two segments at the same position."""
    return Sums(
        covariance.compare(reference.samples, test.samples),
        waveform.compare(reference.low_spectrum, test.low_spectrum),
        spectral.compare(reference.magnitudes, test.magnitudes, levels.largest_power),
        spatial.compare(reference.field, test.field, levels.loudspeaker_power),
        banded.compare(reference.field, test.field),
        interaural.compare(reference.cues, test.cues),
        ambiqual.compare(reference.patches, test.patches),
        fine_structure.compare(reference.fine, test.fine),
        onsets.compare(reference.steps, test.steps),
        tonality.compare(reference.tones, test.tones),
        noise_texture.compare(reference.texture, test.texture),
    )


def conclude(sums: Sums) -> dict[str, float | None]:
    """Return all measures, in the order of `MEASURES`.

    None means that a measure is not applicable; no value is NaN or infinite.
    """
    found = {
        **covariance.conclude(sums.moments),
        **waveform.conclude(sums.waveform),
        **spectral.conclude(sums.spectral),
        **spatial.conclude(sums.spatial),
        **banded.conclude(sums.banded),
        **interaural.conclude(sums.cues),
        **ambiqual.conclude(sums.similarity),
        **fine_structure.conclude(sums.fine),
        **onsets.conclude(sums.steps),
        **tonality.conclude(sums.tones),
        **noise_texture.conclude(sums.texture),
        "silent_channels": float(len(covariance.lost_channels(sums.moments))),
    }
    for name, value in found.items():
        assert value is None or np.isfinite(value), f"{name} is {value}"
    return {measure.name: found[measure.name] for measure in MEASURES if measure.name in found}


def measure_all(reference: Scene, tests: Mapping[str, Scene]) -> dict[str, dict[str, float | None]]:
    """Return all measures of some tests in memory against their reference; they are not aligned.

    Raises
    ------
    InputError
        If lengths, sample rates or orders differ, a sample is above `analysis.metrics.framing.LARGEST`, or the
        reference is silent.
    """
    for name, test in tests.items():
        if (test.samples.shape, test.sample_rate_hz) != (reference.samples.shape, reference.sample_rate_hz):
            raise InputError(
                f"{name}: {test.samples.shape} samples at {test.sample_rate_hz} Hz, the reference has "
                f"{reference.samples.shape} at {reference.sample_rate_hz} Hz"
            )
    for name, scene in {"reference": reference, **tests}.items():
        check_level(scene.samples, name)
    total, rate_hz = reference.length, reference.sample_rate_hz
    levels = reference_levels(array_reader(reference.samples), total, rate_hz)
    streams = {name: segments(array_reader(test.samples), total, rate_hz) for name, test in tests.items()}
    sums: dict[str, Sums] = {}
    for segment in segments(array_reader(reference.samples), total, rate_hz):
        described = describe(segment)
        for name, stream in streams.items():
            here = compare(described, describe(next(stream)), levels)
            sums[name] = sums[name] + here if name in sums else here
    return {name: conclude(found) for name, found in sums.items()}


def measure(reference: Scene, test: Scene) -> dict[str, float | None]:
    """Return all measures of one test; see `measure_all`."""
    return measure_all(reference, {"test": test})["test"]


@cache
def by_name() -> dict[str, Measure]:
    """Return the measures by their names."""
    return {measure.name: measure for measure in MEASURES}


def columns(rows: Sequence[Mapping[str, float | None]]) -> list[str]:
    """Return the columns of a table in the order of `MEASURES`: those for which some row has a value."""
    return [measure.name for measure in MEASURES if any(row.get(measure.name) is not None for row in rows)]
