"""The split: no second of a test excerpt was trained on, and too little data is refused."""

import numpy as np
import pytest

from codec.training.datasets import training_and_held_out
from listening.test_design.items import corpus_items
from listening.test_design.test_plan import Plan
from render.common.errors import InputError
from render.fileio.audio_file import writer
from stimuli.eigenscape.corpus import CLASSES, HOLDOUT, find_recordings, split
from stimuli.excerpts.selection import choose_window


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("prepared")
    for number in (1, 4, 7, 8):
        for scene_class in CLASSES:
            with writer(folder / f"{scene_class}.{number}.wav", 16, 44100, "PCM_16") as file:
                file.write(np.full((16, 2205), 0.01 * number, np.float32))
    return folder


@pytest.mark.parametrize("holdout", [4, 8])
def test_no_second_of_an_excerpt_lies_in_a_training_range(prepared, holdout):
    """Every second is (recording, time): training uses whole recordings, excerpts lie within theirs."""
    training, _ = split(find_recordings(prepared), holdout)
    trained = {(path, second) for path in (r.path.resolve() for r in training) for second in range(1)}
    items = corpus_items(prepared, holdout)
    assert [item.id for item in items] == list(CLASSES)
    for item in items:
        window = choose_window(item.path, 10.0)
        first, last = window.start // 44100, (window.start + window.length - 1) // 44100
        assert not trained & {(item.path.resolve(), second) for second in range(first, last + 1)}


def test_the_default_plan_holds_out_what_training_holds_out():
    assert Plan().holdout == HOLDOUT


def test_too_little_data_for_the_split(tmp_path):
    def corpus(name, *numbers):
        (tmp_path / name).mkdir()
        for number in numbers:
            with writer(tmp_path / name / f"Beach.{number}.wav", 1, 44_100, "PCM_16") as file:
                file.write(np.full((1, 100), 0.1, np.float32))
        return tmp_path / name

    both, eighth, others = corpus("both", 1, 8), corpus("eighth", 8), corpus("others", 1, 2)
    training, held_out = training_and_held_out([both, others])
    assert training == [both / "Beach.1.wav", others / "Beach.1.wav", others / "Beach.2.wav"]
    assert held_out == [both / "Beach.8.wav"]
    with pytest.raises(InputError, match=r"eighth: nothing to train on: all 1 recordings are held out"):
        training_and_held_out([eighth])
    with pytest.raises(InputError, match=r"others: nothing is held out.*\(recording 8 of each class\) among 2"):
        training_and_held_out([others])
    with pytest.raises(InputError, match=r"nothing to train on.*\(the class Beach\)"):
        training_and_held_out([both], "Beach")
    with pytest.raises(InputError, match=r"lies in two of the given folders"):
        training_and_held_out([both, both])
