"""Names of recordings, and the split that training and listening tests share."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from render.common.errors import InputError
from stimuli.eigenscape.corpus import CLASSES, Recording, find_recordings, recording_numbers, split


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def test_recordings_are_found_by_name_in_folders_of_any_depth(tmp_path):
    touch(
        tmp_path, "Beach.2.wav", "a/b/Beach-01.WAV", "Busy Street.3.w64", "quietstreet.8.rf64", "Woodland.07.caf"
    )
    found = [(r.scene_class, r.number) for r in find_recordings(tmp_path)]
    assert found == [("Beach", 1), ("Beach", 2), ("BusyStreet", 3), ("QuietStreet", 8), ("Woodland", 7)]


def test_other_files_are_passed_over(tmp_path):
    others = ["Beach.9.wav", "Beach.0.wav", "Beach.wav", "Forest.1.wav", "Beach.1.flac", "Beach.1.wav.json",
              "Beach.1.metadata.wav", ".Beach.1.wav", ".part/Beach.1.wav", "Beach.1\n.wav"]  # fmt: skip
    touch(tmp_path, "Park.1.wav", *others)
    assert [r.path.name for r in find_recordings(tmp_path)] == ["Park.1.wav"]


def test_the_same_recording_twice_is_refused(tmp_path):
    touch(tmp_path, "Beach.1.wav", "copy/Beach-1.wav")
    with pytest.raises(InputError, match="same recording"):
        find_recordings(tmp_path)


def test_an_empty_or_missing_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="INPUT="):
        find_recordings(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        find_recordings(tmp_path / "no")


@given(
    st.sets(st.tuples(st.sampled_from(CLASSES), st.integers(1, 8))),
    st.integers(1, 8),
)
def test_the_split_keeps_every_recording_on_one_side(have, holdout):
    recordings = [Recording(f"{c}.{n}.wav", c, n) for c, n in have]
    training, held_out = split(recordings, holdout)
    assert sorted([*training, *held_out], key=recordings.index) == recordings
    assert {r.number for r in held_out} <= {holdout}
    assert holdout not in {r.number for r in training}


def test_the_whole_corpus_is_split_seven_to_one():
    recordings = [Recording(f"{c}.{n}.wav", c, n) for c in CLASSES for n in range(1, 9)]
    training, held_out = split(recordings)
    assert (len(training), len(held_out)) == (56, 8)
    assert [r.scene_class for r in held_out] == list(CLASSES)
    for holdout in (0, 9, -1):
        with pytest.raises(InputError, match="1 to 8"):
            split(recordings, holdout)


def test_every_fold_of_either_kind_holds_each_recording_out_once():
    recordings = [Recording(f"{name}.{n}.wav", name, n) for name in CLASSES for n in range(1, 9)]
    for folds, size in ((range(1, 9), 8), (CLASSES, 8)):
        held_out = [split(recordings, fold)[1] for fold in folds]
        assert [len(part) for part in held_out] == [size] * 8
        assert sorted(r.path for part in held_out for r in part) == sorted(r.path for r in recordings)
    with pytest.raises(InputError, match="held-out class 'Sea'"):
        split(recordings, "Sea")


@pytest.mark.parametrize("text", ["", "-3", "²", "1-²", "٣", "x", "1,,2"])
def test_numbers_of_recordings_that_are_none_are_refused(text):
    with pytest.raises(InputError, match="need numbers 1 to 8"):
        recording_numbers(text)


def test_numbers_of_recordings():
    assert recording_numbers("1,4-6") == [1, 4, 5, 6]


@pytest.mark.parametrize(
    ("text", "first_wrong"),
    [("0-3", "0"), ("1-9", "9"), ("1-99999999999999", "99999999999999"), ("9" * 5000, "9" * 20)],
)
def test_recordings_that_do_not_exist_are_refused_at_once(text, first_wrong):
    with pytest.raises(InputError, match=rf"^recording {first_wrong}; possible are 1 to 8$"):
        recording_numbers(text)
