"""The command stimuli.scatter: a corpus that depends on clips, response and seed alone."""

import json
import sys

import numpy as np
import pytest

from render.common.errors import InputError
from render.common.files import record_path, sha256
from render.fileio.audio_file import info, read, writer
from stimuli import scatter
from stimuli.eigenscape.corpus import find_recordings

RATE = 44100
RANDOM = np.random.default_rng(5)


def written(path, samples, rate=RATE):
    with writer(path, len(samples), rate, "FLOAT", force=True) as file:
        file.write(np.asarray(samples, np.float32))
    return path


def room(reverberation_s, channels=4, length=RATE):
    """Noise that decays by 60 dB in that time."""
    decay = 10 ** (-3 * np.arange(length) / RATE / reverberation_s)
    return RANDOM.standard_normal((channels, length)) * decay


@pytest.fixture
def clips(tmp_path):
    return [written(tmp_path / f"{name}.wav", 0.1 * RANDOM.standard_normal((1, 9000))) for name in "abcd"]


@pytest.fixture
def run(tmp_path, monkeypatch):
    def run(*arguments):
        arguments = ["scatter", *arguments, "--seconds", 1, "-o", tmp_path / "out"]
        monkeypatch.setattr(sys, "argv", list(map(str, arguments)))
        scatter.main()
        return tmp_path / "out"

    return run


def test_a_corpus_is_made_of_clips_and_seed_alone(run, clips, tmp_path):
    response = written(tmp_path / "room.wav", room(0.5))
    folder = run(*clips, "--response", response, "--recordings", "2,8")
    recordings = find_recordings(folder)
    assert len(recordings) == 16
    assert {r.number for r in recordings} == {2, 8}
    digests = {r.path.name: sha256(r.path) for r in recordings}
    assert len(set(digests.values())) == 16
    for recording in recordings:
        about, record = info(recording.path), json.loads(record_path(recording.path).read_text())
        assert (about.channels, about.sample_rate_hz, about.length) == (4, RATE, RATE)
        level_dbfs = 10 * np.log10(np.square(read(recording.path)[0][0].astype(float)).mean())
        assert level_dbfs == pytest.approx(-24, abs=0.01)
        assert "no recording" in record["what"]
        assert record["sha256"] == digests[recording.path.name]
        assert len({clip["file"] for clip in record["clips"]}) == 3
        assert record["reverberation_s"] in (0.4, 0.8, 1.5, None)
    run(*clips, "--response", response, "--recordings", "2,8")
    assert {r.path.name: sha256(r.path) for r in recordings} == digests
    with pytest.raises(InputError, match="--force"):
        run(*clips, "--response", response, "--recordings", "2", "--seed", 1)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--recordings", "0-3"), "recording 0; possible are 1 to 8"),
        (("--seed", "-1"), "seed -1"),
        (("--response", "nowhere.wav"), "nowhere.wav: no such file"),
    ],
)
def test_what_is_refused(run, clips, tmp_path, options, said):
    response = written(tmp_path / "room.wav", room(0.5))
    with pytest.raises(InputError, match=said):
        run(*clips, "--response", response, *options)
    assert not list(tmp_path.glob("out/*"))


def test_too_few_and_silent_clips_are_refused(run, clips, tmp_path):
    response = written(tmp_path / "room.wav", room(0.5))
    with pytest.raises(InputError, match="2 clips; a scene takes 3"):
        run(*clips[:2], "--response", response)
    silent = written(tmp_path / "silent.wav", np.zeros((1, 500)))
    with pytest.raises(InputError, match=r"silent\.wav: .* are silent"):
        run(silent, silent, silent, "--response", response)
