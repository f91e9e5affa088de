"""The fold of events: what it refuses, what it counts, and that no division into batches changes it."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from listening.sessions.pages import Page, Trial
from listening.sessions.plan import Field, SessionPlan
from listening.sessions.progress import (
    _EVENTS,
    Impossible,
    PageState,
    Progress,
    Session,
    SlotUse,
    _answered,
    after,
)

FRAMES = 48_000
QUESTIONS = (
    Field("age", "Age?", "number", required=True, minimum=18, maximum=99),
    Field("level", "Level?", "choice", ("a", "b")),
    Field("ok", "OK?", "yes_no"),
    Field("words", "Words?"),
)
BASIC = "basic_audio_quality"


def session(slots=3, reference=True, **plan):
    trial = Trial("Beach", BASIC, 1, tuple("abcdefgh"[:slots]), reference, 1)
    kinds = ["welcome", "consent", "questionnaire", "device", "channels", "level", "screening"]
    made = [Page(kind) for kind in kinds] + [Page("training", trial), Page("trial", trial), Page("trial", trial)]
    plan = SessionPlan(questionnaire=QUESTIONS, screening=True, **plan)
    return Session(
        plan,
        (*made, Page("comments"), Page("end")),
        {"Beach": FRAMES},
        frozenset(("en", "de")),
        ("loudspeakers", "headphones"),
    )


WELCOME, CONSENT, QUESTIONNAIRE, DEVICE, CHANNELS, LEVEL, SCREENING, TRAINING, TRIAL, SECOND, COMMENTS, END = (
    range(12)
)
TEST = session()


def e(kind, page, at_ms=1000, **fields):
    return {"seq": 1, "at_ms": at_ms, "type": kind, "page": page, **fields}


def fold(events, state=None, test=TEST):
    state = state or Progress()
    for event in events:
        state = after(state, event, test)
    return state


def device(transducer="headphones", **more):
    return e("device", DEVICE, transducer=transducer, **more)


BEFORE = [
    e("done", WELCOME),
    e("consent", CONSENT, given=True),
    e("done", CONSENT),
    e("answer", QUESTIONNAIRE, field="age", value=30),
    e("done", QUESTIONNAIRE),
    device(),
    e("done", DEVICE),
    e("confirm", CHANNELS, what="headphones"),
    e("done", CHANNELS),
    e("level", LEVEL, db=-1.5),
    e("done", LEVEL),
    e("screening", SCREENING, passed=True, details={"right": 6}),
    e("done", SCREENING),
    e("done", TRAINING),
]
PLAYS = [e("play", TRIAL, slot=slot, position=0) for slot in range(4)]
RATES = [e("rate", TRIAL, slot=slot, score=30.0 * slot) for slot in (1, 2, 3)]


@pytest.fixture(scope="module")
def at_trial():
    return fold(BEFORE)


def test_a_session_goes_on_from_page_to_page(at_trial):
    assert (at_trial.page, sorted(at_trial.done)) == (TRIAL, list(range(TRIAL)))
    assert (at_trial.level_db, at_trial.transducer) == (-1.5, "headphones")
    assert at_trial.pages[QUESTIONNAIRE].answers == {"age": 30.0}
    assert at_trial.pages[SCREENING].screened is True
    state = fold([*PLAYS, *RATES, e("done", TRIAL)], at_trial)
    assert (state.page, state.pages[TRIAL].scores) == (SECOND, {1: 30.0, 2: 60.0, 3: 90.0})


def test_state_as_the_page_receives_it(at_trial):
    events = [
        *PLAYS[:2],
        RATES[0],
        e("loop", TRIAL, start=100, end=40_000),
        e("comment", TRIAL, text="a <b> & 'c'"),
    ]
    state = json.loads(json.dumps(fold(events, at_trial).as_json()))
    assert (state["page"], state["done"], state["level_db"]) == (TRIAL, list(range(TRIAL)), -1.5)
    assert state["device"] == {"transducer": "headphones"}
    assert state["pages"][str(TRIAL)] == {
        "scores": {"1": 30.0}, "moved": [1], "played": [0, 1], "comment": "a <b> & 'c'", "answers": {},
        "choice": None, "loop": [100, 40_000], "confirmed": [], "consent": False, "screened": None,
    }  # fmt: skip
    assert state["pages"][str(QUESTIONNAIRE)]["answers"] == {"age": 30.0}
    assert fold([e("loop", TRIAL, start=None, end=None)], fold(events, at_trial)).pages[TRIAL].loop is None


def test_the_screening_is_passed_over_on_loudspeakers():
    events = [
        *BEFORE[:5],
        device("loudspeakers"),
        *BEFORE[6:7],
        e("confirm", CHANNELS, what="channels"),
        *BEFORE[8:11],
    ]
    assert fold(events).page == TRAINING
    assert SCREENING in fold(events).done


REFUSED = [
    # unknown
    (e("think", TRIAL), "type 'think' is not known"),
    (e(["rate"], TRIAL), "is not known"),
    (e("rate", TRIAL, slot=1, score=3, extra=1), "field 'extra' is not known"),
    (e("rate", TRIAL, slot=1, score=3, position=1), "field 'position' is not known"),
    # pages
    (e("page", 12), "page 12 is not a page"),
    (e("page", -1), "page -1 is not a page"),
    (e("page", True), "page True is not a page"),
    (e("page", "8"), "page 8 is not a page"),
    (e("page", None), "is not a page"),
    (e("page", SECOND), "but page 8 is not done"),
    (e("done", SECOND), "but page 8 is not done"),
    (e("done", LEVEL), "page 5 is done"),
    (e("rate", TRAINING, slot=1, score=3), "page 7 is done"),
    (e("consent", CONSENT, given=False), "page 1 is done"),
    # times
    (e("page", TRIAL, at_ms=-1), "at_ms -1"),
    (e("page", TRIAL, at_ms=None), "at_ms None"),
    (e("page", TRIAL, at_ms=float("nan")), "at_ms nan"),
    (e("page", TRIAL, at_ms=2**60), "at_ms"),
    # slots and scores
    (e("play", TRIAL, slot=4, position=0), "slot 4 is not one of 0 to 3"),
    (e("play", TRIAL, slot=-1, position=0), "slot -1"),
    (e("play", TRIAL, slot=1.0, position=0), "slot 1.0"),
    (e("play", TRIAL, slot=True, position=0), "slot True"),
    (e("play", TRIAL, slot=1, position=FRAMES + 1), "position 48001"),
    (e("play", TRIAL, slot=1), "position None"),
    (e("play", LEVEL, slot=1, position=0), "page 5 (level) has no stimuli"),
    (e("rate", TRIAL, slot=0, score=50), "slot 0 is not one of 1 to 3"),
    (e("rate", TRIAL, slot=1, score=100.1), "score 100.1 is no number from 0 to 100"),
    (e("rate", TRIAL, slot=1, score=-0.1), "score -0.1"),
    (e("rate", TRIAL, slot=1, score=float("nan")), "score nan"),
    (e("rate", TRIAL, slot=1, score=float("inf")), "score inf"),
    (e("rate", TRIAL, slot=1, score="50"), "score 50"),
    (e("rate", TRIAL, slot=1, score=True), "score True"),
    (e("grade", TRIAL, slot=1, score=3), "the method is mushra"),
    (e("choose", TRIAL, value="a"), "cannot be chosen"),
    (e("loop", TRIAL, start=10, end=10), "from 10 to 10"),
    (e("loop", TRIAL, start=-1, end=10), "start -1"),
    (e("loop", TRIAL, start=0, end=FRAMES + 1), "end 48001"),
    (e("loop", TRIAL, start=0, end=None), "end None"),
    # what can only stand on other pages, or is too long
    (e("comment", LEVEL, text="x"), "page 5 is done"),
    (e("comment", TRIAL, text="x" * 10_001), "10000 characters"),
    (e("comment", TRIAL, text=None), "no text"),
    (e("comment", TRIAL, text="\ud800"), "characters that no text has"),
    (e("comment", TRIAL, text="a\0b"), "characters that no text has"),
    (e("answer", TRIAL, field="age", value=20), "is not asked"),
    (e("level", TRIAL, db=1), "within an item"),
    (e("level", LEVEL, db=4.01), "db 4.01 is no number from -4 to 4"),
    (e("level", LEVEL, db=-5), "db -5"),
    (e("language", TRIAL, language="xx"), "'xx' is not offered"),
    (e("language", TRIAL, language=["en"]), "is not offered"),
    (e("confirm", TRIAL, what="everything"), "'everything' is not known"),
    (e("device", DEVICE), "transducer 'None'"),
    (device(max_channels=10**20), "max_channels"),
    (device(max_channels="12"), "max_channels"),
    (device(output_map=["x" * 5000]), "longer than 4000"),
    (device(output_map=[float("nan")]), "not JSON compliant"),
    (device(name="x"), "field 'name' is not known"),
    (device("loudspeakers"), "the transducer cannot change any more"),
    (e("underruns", TRIAL, events=-1, duration_s=0), "events -1"),
    (e("underruns", TRIAL, events=1, duration_s=float("nan")), "duration_s nan"),
]


@pytest.mark.parametrize(("event", "why"), REFUSED, ids=[f"{w[:40]}-{k}" for k, (_, w) in enumerate(REFUSED)])
def test_what_cannot_be_is_refused_and_changes_nothing(at_trial, event, why):
    state = fold([e("play", TRAINING, slot=1, position=0)], at_trial)  # heard in the training: begun
    before = state.as_json()
    with pytest.raises(Impossible) as raised:
        after(state, event, TEST)
    assert why in str(raised.value)
    assert state.as_json() == before


@pytest.mark.parametrize(
    ("events", "why"),
    [
        (RATES, "stimulus 1, 2, 3 was not played"),
        (PLAYS, "stimulus 1, 2, 3 was not rated"),
        ([*PLAYS, *RATES[:2]], "stimulus 3 was not rated"),
        ([*PLAYS[:3], *RATES], "stimulus 3 was not played"),
    ],
)
def test_a_trial_is_not_done_before_all_is_played_and_rated(at_trial, events, why):
    with pytest.raises(Impossible, match=why):
        fold([*events, e("done", TRIAL)], at_trial)


def test_one_stimulus_must_have_100_where_the_plan_says_so(at_trial):
    test = session(require_100=True)
    with pytest.raises(Impossible, match="no stimulus has the grade 100"):
        fold([*PLAYS, *RATES, e("done", TRIAL)], at_trial, test)
    assert (
        fold([*PLAYS, *RATES, e("rate", TRIAL, slot=2, score=100), e("done", TRIAL)], at_trial, test).page
        == SECOND
    )


@pytest.mark.parametrize(
    ("index", "why"),
    [
        (1, "the consent is not given"),
        (3, "no answer to age"),
        (5, "the device is not known"),
        (7, "the channels are not confirmed"),
        (11, "the screening was not made"),
    ],
)
def test_a_page_is_not_done_before_it_holds_what_it_asks_for(index, why):
    with pytest.raises(Impossible, match=why):
        fold([*BEFORE[:index], BEFORE[index + 1]])


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        ("age", 18, 18.0), ("age", 17.9, None), ("age", "30", None), ("age", True, None),
        ("level", "a", "a"), ("level", "c", None), ("level", ["a"], None),
        ("ok", "yes", "yes"), ("ok", True, None),
        ("words", "=1+1 & <i>", "=1+1 & <i>"), ("words", 3, None), ("words", "x" * 10_001, None),
        ("none", "x", None),
    ],
)  # fmt: skip
def test_answers(name, value, kept):
    event = e("answer", QUESTIONNAIRE, field=name, value=value)
    if kept is None:
        with pytest.raises(Impossible):
            fold([*BEFORE[:3], event])
    else:
        assert fold([*BEFORE[:3], event]).pages[QUESTIONNAIRE].answers == {name: kept}


def test_a_required_answer_that_is_taken_back_is_missing():
    taken = e("answer", QUESTIONNAIRE, field="age", value=None)
    with pytest.raises(Impossible, match="no answer to age"):
        fold([*BEFORE[:4], taken, BEFORE[4]])


def test_grades_of_bs1116(at_trial):
    test = session(slots=2, method="bs1116", require_100=True)
    heard = [e("play", TRIAL, slot=slot, position=0) for slot in (0, 1, 2)]
    grades = [e("grade", TRIAL, slot=1, score=3.4), e("grade", TRIAL, slot=2, score=4.9)]
    with pytest.raises(Impossible, match="no stimulus has the grade 5"):
        fold([*heard, *grades, e("done", TRIAL)], at_trial, test)
    state = fold([*heard, *grades, e("grade", TRIAL, slot=2, score=5), e("done", TRIAL)], at_trial, test)
    assert state.pages[TRIAL].scores == {1: 3.4, 2: 5.0}
    assert fold([e("grade", TRIAL, slot=1, score=1)], at_trial, test).pages[TRIAL].scores == {1: 1.0}
    for event in (e("grade", TRIAL, slot=1, score=0.9), e("grade", TRIAL, slot=1, score=5.1), RATES[0]):
        with pytest.raises(Impossible):
            fold([event], at_trial, test)


@pytest.mark.parametrize(("method", "slots", "possible"), [("abx", 3, "ab"), ("ab", 2, "abs")])
def test_choices(at_trial, method, slots, possible):
    test = session(slots=slots, reference=False, method=method)
    heard = [e("play", TRIAL, slot=slot, position=0) for slot in range(1, slots + 1)]
    with pytest.raises(Impossible, match="nothing was chosen"):
        fold([*heard, e("done", TRIAL)], at_trial, test)
    with pytest.raises(Impossible, match=f"stimulus {slots} was not played"):
        fold([*heard[:-1], e("choose", TRIAL, value="a"), e("done", TRIAL)], at_trial, test)
    with pytest.raises(Impossible, match="slot 0"):
        fold([e("play", TRIAL, slot=0, position=0)], at_trial, test)
    for value in ("a", "b", "same"):
        events = [*heard, e("choose", TRIAL, value=value), e("done", TRIAL)]
        if value[0] in possible:
            assert fold(events, at_trial, test).pages[TRIAL].choice == value
        else:
            with pytest.raises(Impossible, match="cannot be chosen"):
                fold(events, at_trial, test)


def test_times_and_uses_by_hand(at_trial):
    """The page is left without an end at 14 s, shown again an hour later, and done 6 s after that."""
    hour = 3_600_000
    events = [
        e("page", TRIAL, 10_000),
        e("play", TRIAL, 11_000, slot=1, position=0),
        e("play", TRIAL, 13_000, slot=2, position=0),  # 1 sounded for 2 s
        e("rate", TRIAL, 14_000, slot=2, score=40),  # 2 sounds for 1 s until the browser is lost
        e("underruns", TRIAL, 14_000, events=2, duration_s=0.25),
        e("page", TRIAL, hour),
        e("play", TRIAL, hour + 500, slot=1, position=0),
        e("rate", TRIAL, hour + 2000, slot=2, score=60),
        e("stop", TRIAL, hour + 3000, position=0),  # 1 sounded for 2.5 s more
        e("loop", TRIAL, hour + 3500, start=0, end=24_000),
        e("play", TRIAL, hour + 4000, slot=3, position=0),
        e("rate", TRIAL, hour + 4500, slot=1, score=100),
        e("rate", TRIAL, hour + 4600, slot=3, score=0),
        e("underruns", TRIAL, hour + 5000, events=1, duration_s=0.5),
        e("done", TRIAL, hour + 6000),  # 3 sounded for 2 s
    ]
    page = fold(events, at_trial).pages[TRIAL]
    assert page.time_ms == 4000 + 6000
    assert page.slots == {
        1: SlotUse(plays=2, listen_ms=4500, moves=1, first_ms=8500, last_ms=8500),
        2: SlotUse(plays=1, listen_ms=1000, moves=2, first_ms=4000, last_ms=6000),
        3: SlotUse(plays=1, listen_ms=2000, moves=1, first_ms=8600, last_ms=8600),
    }
    assert (page.loops, page.all_underruns, page.sounding) == (1, (3, 750.0), None)


def test_a_clock_that_is_set_back_by_an_hour_costs_the_time_of_one_event(at_trial):
    """1 sounds from 10 to 12 s, when the clock is set back to 5 s, 2 for 3 s more, 3 for 4 s."""
    events = [
        e("page", TRIAL, 3_610_000),
        e("play", TRIAL, 3_610_000, slot=1, position=0),
        e("play", TRIAL, 3_612_000, slot=2, position=0),
        e("rate", TRIAL, 5_000, slot=1, score=50),
        e("play", TRIAL, 8_000, slot=3, position=0),
        e("rate", TRIAL, 9_000, slot=2, score=50),
        e("rate", TRIAL, 10_000, slot=3, score=50),
        e("done", TRIAL, 12_000),
    ]
    page = fold(events, at_trial).pages[TRIAL]
    assert page.time_ms == 2000 + 3000 + 4000
    assert [page.slots[slot].listen_ms for slot in (1, 2, 3)] == [2000, 3000, 4000]
    assert [page.slots[slot].first_ms for slot in (1, 2, 3)] == [2000, 6000, 7000]


def test_what_comes_late_changes_nothing_of_a_page_that_is_done(at_trial):
    state = fold([*PLAYS, *RATES, e("done", TRIAL)], at_trial)
    late = [
        e("stop", TRIAL, 9000, position=0),
        e("play", TRIAL, 9000, slot=1, position=0),
        e("underruns", TRIAL, 9000, events=9, duration_s=9),
        e("page", TRIAL, 9500),
    ]
    page, before = fold(late, state).pages[TRIAL], state.pages[TRIAL]
    assert (page.slots, page.scores, page.time_ms) == (before.slots, before.scores, before.time_ms)
    assert page.all_underruns == before.all_underruns


@pytest.mark.parametrize(
    ("index", "event"),
    [
        (1, e("consent", CONSENT, given="yes")),
        (1, e("consent", CONSENT)),
        (1, e("consent", WELCOME, given=True)),
        (0, e("consent", WELCOME, given=True)),
        (11, e("screening", SCREENING, passed=1)),
        (11, e("screening", SCREENING, details={})),
        (11, e("screening", SCREENING, passed=True, details="x" * 4000)),
        (3, e("screening", QUESTIONNAIRE, passed=True)),
    ],
)
def test_consent_and_screening_are_true_or_false_and_on_their_pages(index, event):
    with pytest.raises(Impossible):
        fold([*BEFORE[:index], event])


LARGEST = [
    ("sample_rate_hz", 10_000_000), ("max_channels", 1_000_000), ("base_latency_s", 1_000_000),
    ("output_latency_s", 1_000_000),
]  # fmt: skip


@pytest.mark.parametrize(("name", "largest"), LARGEST)
def test_numbers_of_a_device_have_a_largest(name, largest):
    for value in (0, largest):
        assert fold([*BEFORE[:5], device(**{name: value})]).device[name] == value
    for value in (-1, largest + 1):
        with pytest.raises(Impossible, match=name):
            fold([*BEFORE[:5], device(**{name: value})])


def test_underruns_have_a_largest_number_and_duration(at_trial):
    for events, duration_s in ((0, 0), (10**9, 10**6)):
        state = fold([e("underruns", TRIAL, events=events, duration_s=duration_s)], at_trial)
        assert state.pages[TRIAL].underruns == (events, 1000 * duration_s)
    for events, duration_s in ((10**9 + 1, 0), (0, 10**6 + 1)):
        with pytest.raises(Impossible, match="underruns"):
            fold([e("underruns", TRIAL, events=events, duration_s=duration_s)], at_trial)


def test_a_page_that_is_shown_again_begins_with_no_underruns_of_its_own(at_trial):
    state = fold([e("underruns", TRIAL, events=2, duration_s=0.25), e("page", TRIAL)], at_trial)
    assert (state.pages[TRIAL].underruns, state.pages[TRIAL].all_underruns) == ((0, 0.0), (2, 250.0))


def test_what_begins_and_ends_in_one_millisecond_was_not_heard_and_time_begins_at_0(at_trial):
    state = fold([e("play", TRIAL, slot=1, position=0), e("stop", TRIAL, position=0)], at_trial)
    assert state.pages[TRIAL].slots[1].listen_ms == 0
    assert fold([e("done", WELCOME, at_ms=0)]).last_ms == 0
    assert fold([e("done", WELCOME, at_ms=2**53)]).last_ms == 2**53
    for at_ms in (-1, 2**53 + 2):
        with pytest.raises(Impossible, match="at_ms"):
            fold([e("done", WELCOME, at_ms=at_ms)])


def test_a_session_begins_on_its_first_page():
    with pytest.raises(Impossible, match="page 1, but page 0 is not done"):
        fold([e("page", CONSENT)])


def test_texts_may_have_10_000_characters(at_trial):
    text = "x" * 10_000
    assert fold([e("comment", TRIAL, text=text)], at_trial).pages[TRIAL].comment == text
    answer = e("answer", QUESTIONNAIRE, field="words", value=text)
    assert fold([*BEFORE[:3], answer]).pages[QUESTIONNAIRE].answers == {"words": text}


def test_a_number_without_limits_is_any_that_a_database_stores():
    asked = Field("n", "N?", "number")
    for value in (-1e300, -5.5, 1e300):
        assert _answered(asked, value) == value
    for value in (-1.1e300, 1.1e300):
        with pytest.raises(Impossible):
            _answered(asked, value)
    assert _answered(Field("n", "N?", "number", minimum=0), 1e9) == 1e9
    with pytest.raises(Impossible):
        _answered(Field("n", "N?", "number", maximum=0), 1)


def test_details_may_have_4000_characters_as_json():
    kept = "x" * (4000 - len(json.dumps({"transducer": "headphones", "browser": ""})))
    assert fold([*BEFORE[:5], device(browser=kept)]).device["browser"] == kept
    with pytest.raises(Impossible, match="longer than 4000"):
        fold([*BEFORE[:5], device(browser=kept + "x")])


def test_the_device_may_change_until_something_was_heard():
    state = fold([*BEFORE[:13], device("loudspeakers")])
    assert state.transducer == "loudspeakers"
    heard = fold([e("play", TRAINING, slot=1, position=0)], state)
    with pytest.raises(Impossible, match="cannot change any more"):
        fold([device("headphones")], heard)
    assert fold([device("loudspeakers", max_channels=12)], heard).device["max_channels"] == 12


def test_a_comment_stands_where_one_is_asked_for(at_trial):
    with pytest.raises(Impossible, match="page 0 asks for none"):
        fold([e("comment", WELCOME, text="x")])
    with pytest.raises(Impossible, match="asks for none"):
        fold([e("comment", TRIAL, text="x")], at_trial, session(comments=False))


def test_language_and_device_can_be_told_anywhere(at_trial):
    state = fold(
        [e("language", TRIAL, language="de"), e("device", TRIAL, transducer="headphones", max_channels=2)],
        at_trial,
    )
    assert (state.language, state.device) == ("de", {"transducer": "headphones", "max_channels": 2})


def test_the_end_is_where_it_stays(at_trial):
    second = [event | {"page": SECOND} for event in (*PLAYS, *RATES, e("done", SECOND))]
    state = fold([*PLAYS, *RATES, e("done", TRIAL), *second, e("done", COMMENTS), e("done", END)], at_trial)
    assert (state.page, END in state.done) == (END, True)


# ------------------------------------------------------------------------------------------------ properties

SLOTS = st.integers(0, 4)
EVENTS = st.one_of(
    st.builds(lambda s: ("play", {"slot": s, "position": 0}), SLOTS),
    st.builds(lambda s, x: ("rate", {"slot": s, "score": x}), SLOTS, st.floats(-5, 105)),
    st.builds(lambda t: ("comment", {"text": t}), st.text(max_size=5)),
    st.builds(lambda a, b: ("loop", {"start": a, "end": b}), st.integers(0, 50), st.integers(0, 50)),
    st.sampled_from([("done", {}), ("page", {}), ("stop", {"position": 0}), ("think", {})]),
)


@st.composite
def histories(draw):
    """Events of a window on two trials, at rising times; some of them cannot be."""
    now, result = 2000, []
    for kind, fields in draw(st.lists(EVENTS, max_size=30)):
        now += draw(st.integers(0, 3000))
        result.append(e(kind, draw(st.sampled_from([TRIAL, TRIAL, SECOND])), now, **fields))
    return result


def possible(events, state):
    """The events that can be, one after another, and the state after each."""
    kept, states = [], [state]
    for event in events:
        try:
            state = after(state, event, TEST)
        except Impossible:
            continue
        kept.append(event)
        states.append(state)
    return kept, states


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(histories())
def test_the_fold_is_that_of_its_events_alone(at_trial, events):
    kept, states = possible(events, at_trial)
    assert fold(kept, at_trial) == states[-1]
    for cut in range(len(kept) + 1):  # whoever is cut off and goes on is where he would have been
        assert fold(kept[cut:], states[cut]) == states[-1]
    before, last = states[0].pages.get(TRIAL, PageState()), states[-1].pages.get(TRIAL, PageState())
    assert last.time_ms >= before.time_ms
    played = {event["slot"] for event in kept if event["type"] == "play" and event["page"] == TRIAL}
    rated = {event["slot"]: event["score"] for event in kept if event["type"] == "rate" and event["page"] == TRIAL}
    assert dict(last.scores) == rated
    assert last.played <= played
    assert sum(use.listen_ms for use in last.slots.values()) <= max((event["at_ms"] for event in kept), default=0)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.sampled_from(["a", "en"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
TYPES = (
    "page", "play", "stop", "loop", "seek", "rate", "grade", "choose", "answer", "comment", "consent", "language",
    "device", "confirm", "level", "screening", "underruns", "done",
)  # fmt: skip


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_json_makes_anything_but_a_state_or_a_refusal(at_trial, data):
    """Most fields are those of the type, with any JSON value in them."""
    kind = data.draw(st.sampled_from(TYPES) | JSON)
    own = _EVENTS[kind][0] if isinstance(kind, str) and kind in _EVENTS else ("x",)
    event = {name: data.draw(JSON) for name in own if data.draw(st.integers(0, 4))}
    event |= {"seq": 1, "type": kind, "at_ms": data.draw(st.just(1000) | JSON)}
    event["page"] = data.draw(st.integers(0, 12) | JSON)
    for start in (Progress(), at_trial):
        try:
            state = after(start, event, TEST)
        except Impossible:
            continue
        json.dumps(state.as_json(), allow_nan=False)
