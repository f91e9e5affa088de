"""The pages of a listener: orders of the package, rounds, breaks, and what the other methods compare."""

import json
from collections import Counter
from dataclasses import replace

import pytest

from listening.sessions.package import read_package
from listening.sessions.pages import REFERENCE, _balanced, pages
from listening.sessions.plan import SessionPlan, plan_from
from listening.test_design.presentation_orders import orders
from render.common.errors import InputError

SECRET = b"of a listener"


@pytest.fixture
def read(package):
    return read_package(package)


def trials(plan, read, number=1, secret=SECRET, key=None):
    return [page.trial for page in pages(plan, read, number, secret, key) if page.kind == "trial"]


def kinds(plan, read):
    return [page.kind for page in pages(plan, read, 1, SECRET)]


def test_the_trials_of_mushra_are_those_of_session_json(package, read):
    for number, order in enumerate(json.loads((package / "session.json").read_text())["orders"], start=1):
        made = trials(SessionPlan(), read, number)
        assert [trial.item for trial in made] == order["items"]
        assert [trial.number for trial in made] == [1, 2, 3, 4]
        for trial in made:
            assert list(trial.slots) == order["stimuli"][trial.item]
            assert trial.has_reference
            assert (trial.attribute, trial.replicate) == ("basic_audio_quality", 1)


def test_kinds_of_pages(read):
    before = ["welcome", "consent", "device", "channels", "level", "instruction"]
    assert kinds(SessionPlan(), read) == before + ["training"] * 2 + ["trial"] * 4 + ["comments", "end"]
    plan = plan_from(
        {
            "consent": False, "comments": False, "screening": True, "training": [],
            "questionnaire": [{"id": "age", "label": "Age?"}],
        }
    )  # fmt: skip
    before = ["welcome", "questionnaire", "device", "channels", "level", "screening", "instruction"]
    assert kinds(plan, read) == before + ["trial"] * 4 + ["end"]


@pytest.mark.parametrize(
    ("every", "expected"), [(1, "tbtbtbt"), (2, "ttbtt"), (3, "tttbt"), (4, "tttt"), (9, "tttt")]
)
def test_a_break_stands_between_trials_only(read, every, expected):
    made = kinds(SessionPlan(break_after=every), read)
    assert "".join(kind[0] for kind in made if kind in ("trial", "break")) == expected


def test_rounds_of_attributes_and_replicates_have_different_orders(read):
    plan = SessionPlan(attributes=("basic_audio_quality", "timbral_quality"), replicates=2)
    made = trials(plan, read)
    assert [(trial.attribute, trial.replicate) for trial in made[::4]] == [
        ("basic_audio_quality", 1), ("timbral_quality", 1), ("basic_audio_quality", 2), ("timbral_quality", 2),
    ]  # fmt: skip
    rounds = [made[k : k + 4] for k in range(0, 16, 4)]
    assert len({tuple(trial.item for trial in one) for one in rounds}) == 4
    for item in read.items:
        slots = [trial.slots for trial in made if trial.item == item]
        assert len(set(slots)) == 4
        assert {frozenset(names) for names in slots} == {frozenset(read.items[item].stimuli)}


def test_each_round_takes_the_next_order_of_the_package_and_the_training_the_one_before(package, read):
    written = json.loads((package / "session.json").read_text())["orders"]
    for number in (1, 5, 8):
        made = trials(SessionPlan(replicates=3), read, number)
        for count in range(3):
            order = written[(number - 1 + count) % 8]
            mine = made[4 * count : 4 * count + 4]
            assert [(t.item, list(t.slots)) for t in mine] == [(i, order["stimuli"][i]) for i in order["items"]]
        training = [page.trial for page in pages(SessionPlan(), read, number, SECRET) if page.kind == "training"]
        before = written[(number - 2) % 8]["stimuli"]
        assert [(t.item, list(t.slots)) for t in training] == [(item, before[item]) for item in ("Beach", "Park")]
        assert [(t.number, t.replicate, t.attribute) for t in training] == [
            (1, 1, "basic_audio_quality"), (2, 1, "basic_audio_quality"),
        ]  # fmt: skip


def test_over_the_listeners_every_round_is_balanced(read):
    """Williams squares: every item stands equally often at every place, every stimulus in every slot."""
    plan = SessionPlan(replicates=2)
    everybody = [trials(plan, read, number) for number in range(1, 9)]
    for first in (0, 4):
        for place in range(4):
            assert set(Counter(made[first + place].item for made in everybody).values()) == {2}
        for item in read.items:
            slots = [t.slots for made in everybody for t in made[first : first + 4] if t.item == item]
            for slot in range(4):
                assert set(Counter(names[slot] for names in slots).values()) == {2}


def test_listeners_beyond_the_orders_begin_again(read):
    assert trials(SessionPlan(), read, 9) == trials(SessionPlan(), read, 1)
    assert trials(SessionPlan(), read, 16) == trials(SessionPlan(), read, 8)


def test_one_prepared_order_is_turned_round_in_every_second_round(tmp_path, write_package):
    read = read_package(write_package(tmp_path / "one", listeners=1))
    made = trials(SessionPlan(replicates=3), read)
    first, second, third = made[:4], made[4:8], made[8:]
    assert [t.item for t in second] == [t.item for t in first][::-1]
    assert {t.item: t.slots for t in first} == {t.item: t.slots[::-1] for t in second}
    assert [(t.item, t.slots) for t in third] == [(t.item, t.slots) for t in first]


def test_the_slots_of_the_training_tell_nothing_of_the_trials(read):
    training = [page.trial for page in pages(SessionPlan(), read, 1, SECRET) if page.kind == "training"]
    assert [trial.item for trial in training] == ["Beach", "Park"]
    slots = {trial.item: trial.slots for trial in trials(SessionPlan(), read)}
    for trial in training:
        assert trial.slots != slots[trial.item]
        assert set(trial.slots) == set(slots[trial.item])
    chosen = SessionPlan(training=("Woodland",))
    assert [page.trial.item for page in pages(chosen, read, 1, SECRET) if page.kind == "training"] == ["Woodland"]


def test_bs1116_hides_the_reference_in_b_as_often_as_in_c(read, names):
    plan = SessionPlan(method="bs1116")
    made = trials(plan, read)
    assert len(made) == 16
    assert all(len(trial.slots) == 2 and trial.has_reference for trial in made)
    assert Counter(trial.slots.index(REFERENCE) for trial in made) == {0: 8, 1: 8}
    objects = Counter((t.item, next(n for n in t.slots if n != REFERENCE)) for t in made)
    assert objects == {(item, name): 1 for item, stimuli in names.items() for name in stimuli}
    assert trials(plan, read, secret=b"another") != made
    assert trials(plan, read) == made


def test_the_key_leaves_controls_out_unless_they_are_wanted(read, names):
    made = trials(SessionPlan(method="bs1116"), read, key=names)
    heard = {names[t.item][name] for t in made for name in t.slots if name != REFERENCE}
    assert (len(made), heard) == (12, {"la", "opus", "prop"})
    assert len(trials(SessionPlan(method="bs1116", controls=True), read, key=names)) == 16
    assert len(trials(SessionPlan(method="abx"), read, key=names)) == 12


def test_abx_presents_each_pair_as_often_as_asked_and_x_is_a_as_often_as_b(read, names):
    plan = SessionPlan(method="abx", repetitions=3)
    made = trials(plan, read)
    assert len(made) == 16 * 3
    pairs = Counter((t.item, frozenset(t.slots[:2])) for t in made)
    assert pairs == {(i, frozenset((REFERENCE, n))): 3 for i, stimuli in names.items() for n in stimuli}
    assert Counter(t.slots[:2].index(t.slots[2]) for t in made) == {0: 24, 1: 24}
    assert Counter(t.slots[:2].index(REFERENCE) for t in made) == {0: 24, 1: 24}
    assert not any(t.has_reference for t in made)
    for item, pair in pairs:
        mine = [t.replicate for t in made if (t.item, frozenset(t.slots[:2])) == (item, pair)]
        assert sorted(mine) == [1, 2, 3]
    rounds = trials(SessionPlan(method="abx", repetitions=3, replicates=2), read)
    assert sorted({t.replicate for t in rounds}) == [1, 2, 3, 4, 5, 6]


def test_ab_of_all_pairs_has_the_open_reference_beside_it(read):
    made = trials(SessionPlan(method="ab", pairs="all"), read)
    assert len(made) == 4 * 6
    assert all(t.has_reference and len(t.slots) == 2 for t in made)
    assert len({(t.item, frozenset(t.slots)) for t in made}) == 24
    against = trials(SessionPlan(method="ab"), read)
    assert not any(t.has_reference for t in against)


def test_pairs_of_conditions_need_the_key(read, names):
    plan = SessionPlan(method="ab", pairs=(("opus", "prop"), ("href", "la")))
    made = trials(plan, read, key=names)
    assert len(made) == 8
    heard = {frozenset(names[t.item][n] for n in t.slots) for t in made}
    assert heard == {frozenset(("opus", "prop")), frozenset(("href", "la"))}
    with pytest.raises(InputError, match="need the key; give it with --key"):
        trials(plan, read)
    wrong = SessionPlan(method="ab", pairs=(("opus", "propp"),))
    with pytest.raises(InputError, match=r"no condition 'propp'; did you mean prop\?"):
        trials(wrong, read, key=names)


def test_a_key_of_another_package_is_refused(read, names):
    other = {item: {"00000000": "href"} for item in names}
    with pytest.raises(InputError, match="belongs to another package"):
        trials(SessionPlan(method="abx"), read, key=other)
    with pytest.raises(InputError, match="does not hold item"):
        trials(SessionPlan(method="abx"), read, key={})


def test_of_an_odd_number_of_sides_either_has_one_more_as_often(read):
    """Over 400 listeners, 200 ± 40 (four standard deviations)."""
    more = sum(sum(_balanced(3, secret.to_bytes(2), "sides")) == 2 for secret in range(400))
    assert abs(more - 200) < 40
    assert {sum(_balanced(4, secret.to_bytes(2), "sides")) for secret in range(40)} == {2}


def test_nothing_to_compare_and_unknown_items_of_the_training_are_refused(read, names):
    only_references = {item: dict.fromkeys(stimuli, "href") for item, stimuli in names.items()}
    with pytest.raises(InputError, match="nothing is left to compare"):
        trials(SessionPlan(method="bs1116"), read, key=only_references)
    with pytest.raises(InputError, match=r"no such item: 'Beech'; did you mean Beach\?"):
        pages(SessionPlan(training=("Beech",)), read, 1, SECRET)


def test_training_of_the_other_methods_is_one_trial_an_item(read):
    for method, slots in (("bs1116", 2), ("abx", 3), ("ab", 2)):
        made = [p.trial for p in pages(SessionPlan(method=method), read, 1, SECRET) if p.kind == "training"]
        assert [t.item for t in made] == ["Beach", "Park"]
        assert {len(t.slots) for t in made} == {slots}


def test_a_listener_of_a_partial_design_keeps_the_items_in_every_round(read):
    stimuli = {item: sorted(files.stimuli) for item, files in read.items.items()}
    partial = replace(read, orders=tuple(orders(8, stimuli, b"secret", 1, 2)))
    for number in range(1, 9):
        made = trials(SessionPlan(replicates=3), partial, number)
        own = partial.orders[number - 1]["items"]
        assert [trial.item for trial in made] == [*own, *own[::-1], *own]
        assert [trial.replicate for trial in made] == [1, 1, 2, 2, 3, 3]
        for item in own:
            first, second, _ = (trial.slots for trial in made if trial.item == item)
            assert first != second
        training = [p.trial for p in pages(SessionPlan(), partial, number, SECRET) if p.kind == "training"]
        assert [trial.item for trial in training] == ["Beach", "Park"]
