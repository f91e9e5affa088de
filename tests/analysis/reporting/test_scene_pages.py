"""Scene pages: what they show is what the scene is, and the same input gives the same bytes."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from analysis.metrics.evaluation import Item, prepare
from analysis.metrics.selftest import plane_wave
from analysis.reporting import scene_pages
from analysis.reporting.scene_view import AZIMUTH_DEG, ELEVATION_DEG, LOUDSPEAKERS, scene_view, signal_names
from render.fileio.audio_file import write_scene
from render.hoa.scene import Scene

RATE = 44100


@pytest.fixture(scope="module")
def item(tmp_path_factory):
    """Noise from the left, and a version of first order at half the level."""
    folder = tmp_path_factory.mktemp("scenes")
    x = plane_wave(0.1 * np.random.default_rng(0).standard_normal(30_000), 90, 0)
    write_scene(folder / "ref.wav", Scene(x.astype(np.float32), RATE))
    write_scene(folder / "half.wav", Scene((0.5 * x[:4]).astype(np.float32), RATE))
    return Item(
        "Left", folder / "ref.wav", {"href": folder / "ref.wav", "half": folder / "half.wav"}, {}, "synthetic"
    )


def test_what_is_shown_is_what_there_is(item):
    prepared = prepare(item, take_as_aligned=False)
    reference, test = scene_view(prepared, None), scene_view(prepared, "half")
    elevation, azimuth = np.unravel_index(reference.maps[1].argmax(), reference.maps[1].shape)
    assert (ELEVATION_DEG[elevation], AZIMUTH_DEG[azimuth]) == (0, 90)
    assert reference.azimuth_deg == pytest.approx(np.full(len(reference.azimuth_deg), 90), abs=0.1)
    assert reference.diffuseness.max() < 0.01
    assert test.order_db[:2] - reference.order_db[:2] == pytest.approx([-6.02, -6.02], abs=0.01)
    assert test.order_db[2:].tolist() == [-120, -120]
    left, right = (signal_names(3).index(f"loudspeaker {label}") for label in LOUDSPEAKERS)
    level_db = reference.spectrograms_db.mean(axis=(1, 2))
    assert level_db[left] > level_db[right]


def test_a_map_has_its_values_where_their_beams_point():
    axes = Figure().add_subplot()
    scene_pages.draw_map(axes, np.zeros((len(ELEVATION_DEG), len(AZIMUTH_DEG))))
    (image,) = axes.images
    left, right, bottom, top = image.get_extent()
    rows, columns = image.get_array().shape
    at = [left + (np.arange(columns) + 0.5) * (right - left) / columns]
    at += [bottom + (np.arange(rows) + 0.5) * (top - bottom) / rows]
    assert image.origin == "lower"
    np.testing.assert_allclose(at[0], AZIMUTH_DEG, atol=1e-9)
    np.testing.assert_allclose(at[1], ELEVATION_DEG, atol=1e-9)
    assert (axes.get_xlim(), axes.get_ylim()) == ((180, -180), (-90, 90))


def test_pages_and_sheet_are_written_and_repeatable(item, tmp_path):
    scene_pages.draw_item(item, tmp_path, take_as_aligned=False, force=False)
    written = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.png"))
    assert written == ["Left.png", "Left/half.png"]
    scene_pages.draw_item(item, tmp_path, take_as_aligned=False, force=False)  # other bytes would be refused


def test_a_page_has_every_panel(item):
    prepared = prepare(item, take_as_aligned=False)
    reference = scene_view(prepared, None)
    page = scene_pages.page(prepared, "half", reference, scene_view(prepared, "half"))
    titles = {axes.get_title() for axes in page.axes}
    assert {"half - reference", "reference, 200 to 800 Hz", "half, 3150 to 12500 Hz", "difference"} <= titles
    labels = {axes.get_ylabel() for axes in page.axes}
    signals = {f"{name}\nfrequency (Hz)" for name in ("W", "order 3, ACN 15", "loudspeaker U-135")}
    assert signals | {"diffuseness", "azimuth (deg)"} <= labels
    sheet = scene_pages.contact_sheet(prepared, {"half": scene_view(prepared, "half")}, reference)
    under = {axes.get_xlabel() for axes in sheet.axes}
    assert {"time (s)", "azimuth (deg), left is positive", "channel (ACN)", *scene_pages.COLOUR_BARS} <= under
    assert "synthetic" in page.get_suptitle()
