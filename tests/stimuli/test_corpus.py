"""The catalogue and the split that training and test building share."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from render.errors import InputError
from stimuli.corpus import CLASSES, Recording, find_recordings, recording_of, split

CORPUS = [Recording(Path(f"{name}.{number}.wav"), name, number) for name in CLASSES for number in range(1, 9)]


def _touch(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def test_names_in_use(tmp_path):
    """Archives (Beach.1), metadata (Beach-01), folders with spaces as users keep them."""
    root = _touch(
        tmp_path,
        "Beach.1.wav",
        "TrainStation-03.wav",
        "Busy Street/Busy Street.2.wav",
        "deep/er/shoppingcentre.8.WAV",
        "Metadata-EigenScape.csv",
        "Beach-01-Raw.wav",
        "Beach.9.wav",
        "Mountain.1.wav",
        ".Beach.2.part-17.wav",
        "Beach.1.wav.json",
    )
    found = find_recordings(root)
    assert [(r.scene_class, r.number) for r in found] == [
        ("Beach", 1),
        ("BusyStreet", 2),
        ("ShoppingCentre", 8),
        ("TrainStation", 3),
    ]
    assert all(r.path.is_file() for r in found)


@given(st.sampled_from(CLASSES), st.integers(1, 8), st.sampled_from(["{}.{}", "{}-{:02d}"]))
def test_every_name_of_the_corpus_is_read_back(name, number, style):
    found = recording_of(Path("somewhere") / (style.format(name, number) + ".wav"))
    assert (found.scene_class, found.number) == (name, number)


def test_refusals(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        find_recordings(tmp_path / "missing")
    with pytest.raises(InputError, match=r"no recordings named like EigenScape's"):
        find_recordings(_touch(tmp_path / "other", "mine.wav"))
    with pytest.raises(InputError, match="the same recording as"):
        find_recordings(_touch(tmp_path / "twins", "Beach.1.wav", "Beach/Beach-01.wav"))
    for holdout in (0, 9):
        with pytest.raises(InputError, match="possible are 1 to 8"):
            split(CORPUS, holdout)


@given(st.integers(1, 8), st.permutations(CORPUS))
def test_no_second_of_the_held_out_part_is_trained_on(holdout, corpus):
    """Whole recordings on one side each: 7/8 train, one recording of every class is held out."""
    training, held_out = split(corpus, holdout)
    assert set(training) | set(held_out) == set(corpus)
    assert not {r.path for r in training} & {r.path for r in held_out}
    assert len(training) == 7 * len(held_out) == 56
    assert {r.scene_class for r in held_out} == set(CLASSES)
    assert {r.number for r in held_out} == {holdout}


def test_each_recording_is_held_out_once_over_the_folds():
    held_out = [r for holdout in range(1, 9) for r in split(CORPUS, holdout)[1]]
    assert sorted(held_out, key=str) == sorted(CORPUS, key=str)
