"""Items from files and builds: how they are aligned and measured, and which are refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.signal import resample_poly

from analysis.metrics.built_test import BuiltTest
from analysis.metrics.evaluation import is_speech, items_of_build, items_of_files, measure_items, prepare
from analysis.metrics.intelligibility import estoi
from analysis.metrics.registry import measure
from analysis.metrics.selftest import scene
from listening.conditions.anchors import low_pass
from render.common.errors import InputError
from render.fileio.audio_file import write_scene
from render.hoa.scene import Scene

REFERENCE = scene(0.7)
RATE = REFERENCE.sample_rate_hz


@pytest.fixture
def item(tmp_path):
    """Function that writes tests of the reference and returns the item."""

    def write(**tests):
        paths = {name: tmp_path / f"{name}.wav" for name in ("ref", *tests)}
        for name, made in {"ref": REFERENCE, **tests}.items():
            write_scene(paths[name], made)
        (made,) = items_of_files(paths.pop("ref"), list(paths.values()))
        return made

    return write


def cut(samples, rate_hz=RATE):
    return Scene(np.ascontiguousarray(samples, np.float32), rate_hz)


def test_the_result_does_not_depend_on_the_workers(item):
    items = [item(la=low_pass(REFERENCE, 3500), quiet=cut(0.5 * REFERENCE.samples))]
    alone, both = (list(measure_items(items, workers, take_as_aligned=False)) for workers in (1, 2))
    assert alone == both
    assert [row["condition"] for row in alone] == ["la", "quiet"]


def test_tests_that_are_alike_have_the_values_of_each_alone(item):
    low = low_pass(REFERENCE, 3500)
    alone = measure(REFERENCE, low)
    rows = {row["condition"]: row["values"]
            for row in measure_items([item(a=low, b=low, copy=REFERENCE)], 1, take_as_aligned=False)}  # fmt: skip
    assert rows["a"] == rows["b"]
    assert {name: rows["a"][name] for name in alone} == alone
    assert rows["copy"]["mel_train"] == 0 < alone["mel_train"]


def test_noise_may_be_measured_as_it_is(item):
    noise = item(noise=scene(0.7, seed=9))
    prepared = prepare(noise, take_as_aligned=True)
    assert prepared.alignments["noise"].lag == 0
    assert prepared.total == REFERENCE.length
    with pytest.raises(InputError, match="does not have the waveform"):
        prepare(noise, take_as_aligned=False)


def test_tests_are_cut_to_the_part_in_which_all_overlap(item):
    x = REFERENCE.samples
    late = np.concatenate([np.zeros((16, 300)), x[:, :-300]], axis=1)
    early = np.concatenate([x[:, 200:], np.zeros((16, 200))], axis=1)
    prepared = prepare(item(late=cut(late), early=cut(early)), take_as_aligned=False)
    assert {name: found.lag for name, found in prepared.alignments.items()} == {"late": 300, "early": -200}
    assert (prepared.start, prepared.total) == (200, REFERENCE.length - 500)
    for condition in (None, "late", "early"):
        assert np.array_equal(prepared.reader(condition)(0, 1000), x[:, 200:1200])


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: cut(np.zeros((25, 30_870))), r"order 4 \(25 channels\), the reference .* has only order 3"),
        (lambda: cut(REFERENCE.samples[:, :500]), "500 samples overlap with the tests; 2049 are needed"),
    ],
)
def test_what_cannot_be_compared(item, made, message):
    with pytest.raises(InputError, match=message):
        prepare(item(test=made()), take_as_aligned=True)


def test_a_test_of_another_rate_is_resampled_to_that_of_the_reference(item):
    """Against scipy's resampler; what a low-passed scene loses on its way to 48 kHz and back is little."""
    low = low_pass(REFERENCE, 7000)
    up = resample_poly(low.samples, 160, 147, axis=1, window=("kaiser", 14.0)).astype(np.float32)
    rows = list(measure_items([item(same=low, up=cut(up, 48_000))], 1, take_as_aligned=False))
    same, resampled = rows
    assert resampled["notes"] == ["resampled from 48000 to 44100 Hz"]
    assert resampled["values"]["lag_samples"] == 0
    assert resampled["values"]["chlvl_db"] == pytest.approx(same["values"]["chlvl_db"], abs=0.02)
    prepared = prepare(item(up=cut(up, 48_000)), take_as_aligned=False)
    assert prepared.total == REFERENCE.length
    np.testing.assert_allclose(
        prepared.reader("up")(5000, 9000), low.samples[:, 5000:9000], atol=2e-3 * np.abs(low.samples).max()
    )


def test_orders_above_the_chosen_one_do_not_count(tmp_path):
    """A reference of third order cut to second is a reference of second order."""
    low = low_pass(REFERENCE, 7000)
    for name, made in (("ref", REFERENCE), ("cut", cut(REFERENCE.samples[:9])), ("test", cut(low.samples[:9]))):
        write_scene(tmp_path / f"{name}.wav", made)
    tests = [tmp_path / "test.wav"]
    (chosen,) = measure_items(items_of_files(tmp_path / "ref.wav", tests, 2), 1, take_as_aligned=False)
    (own,) = measure_items(items_of_files(tmp_path / "cut.wav", tests), 1, take_as_aligned=False)
    assert chosen["values"] == own["values"]
    assert chosen["notes"] == ["orders up to 2 measured; the reference has order 3"]
    (all_orders,) = measure_items(items_of_files(tmp_path / "ref.wav", tests), 1, take_as_aligned=False)
    assert all_orders["values"]["chlvl_db"] > own["values"]["chlvl_db"] + 5
    for order in (-1, 4):
        with pytest.raises(InputError, match=f"has order 3, order {order} cannot be measured"):
            prepare(items_of_files(tmp_path / "ref.wav", tests, order)[0], take_as_aligned=False)


def test_items_of_a_build_have_the_facts_of_the_manifest():
    la = {"kbps": 16.5, "latency_ms": 2, "rtf_enc": "fast", "parameters": {"kbps": 16, "params": 7, "x": 1}}
    entry = {"material": "recording", "conditions": {"href": {}, "la": la}}
    (found,) = items_of_build(BuiltTest(Path("out"), {}, {"Beach": entry}))
    assert found.reference == Path("out/scenes/Beach/href.w64") == found.tests["href"]
    assert found.tests["la"] == Path("out/scenes/Beach/la.w64")
    assert found.facts == {"href": {}, "la": {"kbps": 16.5, "latency_ms": 2.0, "params": 7.0}}


def test_estoi_is_measured_where_the_material_is_speech_or_all_is_said_to_be(item):
    speech = replace(item(la=low_pass(REFERENCE, 3500)), material="synthetic speech")
    assert is_speech(speech)
    expected = estoi(*(of.samples[0].astype(float) for of in (REFERENCE, low_pass(REFERENCE, 3500))), RATE)
    (row,) = measure_items([speech], 1, take_as_aligned=True)
    assert row["values"]["estoi_W"] == pytest.approx(expected, abs=1e-6)
    music = replace(speech, material="recording")
    (row,) = measure_items([music], 1, take_as_aligned=True)
    assert row["values"]["estoi_W"] is None
    (row,) = measure_items([music], 1, take_as_aligned=True, all_speech=True)
    assert row["values"]["estoi_W"] == pytest.approx(expected, abs=1e-6)
