"""Rating files of other programs: real ones where there are, else written by their documented form."""

import pytest

from analysis.ratings.importers.tables import split_names
from analysis.ratings.table import cells, read
from render.common.errors import InputError


def load(tmp_path, text, name="results.csv", **options):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return read(path, **options)


def rows(table):
    return table[["listener", "item", "condition", "score"]].values.tolist()


def test_real_webmushra_equals_the_long_form_given_to_r(reference_ratings):
    table = read(reference_ratings / "aes2023_ambisonics" / "webmushra_results.csv")
    long = read(reference_ratings / "expected" / "A.csv")
    assert table.attrs["formats"] == ["webMUSHRA"]
    assert table["score"].tolist() == long["score"].tolist()
    assert table["item"].tolist() == long["item"].tolist()
    assert table["condition"].replace("href", "reference").tolist() == long["condition"].tolist()
    cube = cells(table)
    assert cube.scores.shape == (22, 13, 8)
    assert cube.complete
    first = table.iloc[0]
    assert (first["time_ms"], first["questionnaire_age"], first["comment"]) == ("180397", "26", "")


def test_real_golisten(reference_ratings):
    table = read(reference_ratings / "drc_golisten" / "mushra.csv")
    cube = cells(table)
    assert table.attrs["formats"] == ["GoListen"]
    assert cube.scores.shape == (19, 11, 4)
    assert set(cube.conditions) == {"lstm-32", "side-chain-c32-f4", "single-chain-c32-f4", "TCN-300-C"}
    assert cube.scores[0, 0, cube.conditions.index("side-chain-c32-f4")] == 93
    assert table["date"].iloc[0] == "2023-09-06 01:50:43"


WEBMUSHRA = "session_test_id,age,session_uuid,trial_id,rating_stimulus,rating_score,rating_time,rating_comment\n"


def test_webmushra_maps_the_conditions_it_adds(tmp_path):
    text = WEBMUSHRA + "".join(
        f'm,26,u1,"A b",{s},{n},9,"a, b"\n' for n, s in enumerate(["reference", "anchor35", "anchor70", "C1"])
    )
    assert rows(load(tmp_path, text)) == [
        ["u1", "A b", "href", 0], ["u1", "A b", "la", 1], ["u1", "A b", "ma", 2], ["u1", "A b", "C1", 3],
    ]  # fmt: skip


def test_webmushra_rows_of_a_questionnaire_changed_later(tmp_path):
    text = WEBMUSHRA + "m,26,u1,A,C1,5,9,\nm,26,male,town,u2,A,C1,6,9,\nm,u3,A,C1,7,9,\n"
    table = load(tmp_path, text)
    assert rows(table) == [["u1", "A", "C1", 5], ["u2", "A", "C1", 6], ["u3", "A", "C1", 7]]
    assert table["questionnaire_age"].tolist() == ["26", "", ""]  # which answer is which cannot be told
    assert table["time_ms"].tolist() == ["9", "9", "9"]


def test_webmushra_before_session_uuid(tmp_path):
    text = "session_test_id,age,trial_id,rating_stimulus,rating_score,rating_time,rating_comment\n"
    text += "m,26,A,C1,1,9,\nm,26,A,C2,2,9,\nm,31,A,C1,3,9,\nm,31,A,C2,4,9,\nm,31,A,C1,5,9,\nm,31,A,C2,6,9,\n"
    table = load(tmp_path, text)
    assert table["listener"].tolist() == ["01", "01", "02", "02", "03", "03"]


def test_webmushra_file_begun_before_session_uuid_and_continued_after(tmp_path):
    """The header is written once; rows of the newer program are one cell longer than it."""
    text = "session_test_id,age,trial_id,rating_stimulus,rating_score,rating_time,rating_comment\n"
    text += "m,26,A,C1,1,9,\nm,26,A,C2,2,9,x\nm,26,u-1,A,C1,3,9,\nm,26,u-1,A,C2,4,9,\nm,26,u-2,A,C1,5,9,\n"
    table = load(tmp_path, text)
    assert table["listener"].tolist() == ["01", "01", "02", "02", "03"]
    assert table["score"].tolist() == [1, 2, 3, 4, 5]
    assert table["comment"].tolist() == ["", "x", "", "", ""]


def test_webmushra_without_times_and_comments(tmp_path):
    text = "session_test_id,session_uuid,trial_id,rating_stimulus,rating_score\nm,u1,A,C1,1\n"
    table = load(tmp_path, text)
    assert rows(table) == [["u1", "A", "C1", 1]]
    assert (table["time_ms"].item(), table["comment"].item()) == ("", "")


def test_webmushra_row_that_is_too_short(tmp_path):
    with pytest.raises(InputError, match=r":3: has 4 cells; webMUSHRA writes at least 7"):
        load(tmp_path, WEBMUSHRA + "m,26,u1,A,C1,5,9,\nm,26,u1,A\n")


def test_webmushra_with_a_blinding_key(tmp_path):
    text = WEBMUSHRA + "m,2,u1,A,reference,99,9,\nm,2,u1,A,0badcafe,50,9,\n"
    assert load(tmp_path, text, key={"A": {"0badcafe": "prop"}})["condition"].tolist() == ["href", "prop"]


def test_webmushra_session_posted_twice(tmp_path):
    with pytest.raises(InputError, match=r":3: .*already rated in line 2"):
        load(tmp_path, WEBMUSHRA + 2 * "m,26,u1,A,C1,5,9,\n")


def test_pymushra(tmp_path):
    text = (
        "wm_type;responses_score;questionaire_age;responses_stimulus;wm_id;questionaire_uuid;wm_testId;wm_date;"
        "responses_time;responses_comment\n"
        "mushra;80;26;C1;trial1;u1;demo;2024-01-02 10:00:00;900;fine\n"
        "mushra;100;26;reference;trial1;u1;demo;2024-01-02 10:00:00;900;\n"
        "paired_comparison;1;26;x;pc;u1;demo;2024-01-02 10:00:00;900;\n"
    )
    table = load(tmp_path, text)
    assert rows(table) == [["u1", "trial1", "C1", 80], ["u1", "trial1", "href", 100]]
    assert table["session"].unique().tolist() == ["demo"]
    further = ["questionnaire_age", "date", "time_ms", "comment"]
    assert table[further].iloc[0].tolist() == ["26", "2024-01-02 10:00:00", "900", "fine"]
    with pytest.raises(InputError, match=r":3: has 2 cells"):
        load(
            tmp_path, text.replace("mushra;100;26;reference;trial1;u1;demo;2024-01-02 10:00:00;900;", "mushra;100")
        )


def test_golisten_with_headings(tmp_path):
    text = (
        '"Tags","","","a","b"\n"","Sound filename","","x_ref.wav","x_opus.wav","y_ref.wav","y_opus.wav"\n'
        '"Name","Date","Q","","","",""\n"T","2023-01-01","No","100","40","90","50"\n'
    )
    assert rows(load(tmp_path, text)) == [
        ["01", "x", "ref", 100], ["01", "x", "opus", 40], ["01", "y", "ref", 90], ["01", "y", "opus", 50],
    ]  # fmt: skip


def test_golisten_of_the_generation_before_sound_filename(tmp_path):
    """As its server wrote it: file names under the headings, a column of times after each example."""
    text = (
        "Tags,,speech,,,noise,,\nName,Date,Example 1,,Time (s),Example 2,,Time (s)\n"
        ",,x_ref.wav,x_opus.wav,,y_ref.wav,y_opus.wav,\nT,2022-01-01 10:00:00,100,40,12,90,50,9\n"
    )
    table = load(tmp_path, text)
    assert rows(table) == [
        ["01", "x", "ref", 100], ["01", "x", "opus", 40], ["01", "y", "ref", 90], ["01", "y", "opus", 50],
    ]  # fmt: skip
    assert table["date"].unique().tolist() == ["2022-01-01 10:00:00"]


@pytest.mark.parametrize(("text", "what"), [
    ("Tags,,a,b\nName,Date,E,\n", "no row 'Sound filename'"),
    (",Sound filename,x_a.wav,x_b.wav\nT,d,5\n", r":2: has 3 cells"),
    (",Sound filename,x_a.wav,x_b.wav\nT,d,5,105\n", r":2: score 105 is outside"),
    (",Sound filename,x_a.wav,b.wav\nT,d,5,6\n", r":1: .* do not split"),
])  # fmt: skip
def test_golisten_errors(tmp_path, text, what):
    with pytest.raises(InputError, match=what):
        load(tmp_path, text)


XML = """<?xml version="1.0" encoding="UTF-8"?>
<MUSHRA>
  <info subjectName="A" testName="Example" testStatus="complete" startTime="2022-04-19T11:27:26.611-07:00"/>
  <trials>
    <trial trialName="s1" trialSeconds="142.0">
      <testFile fileName="s1_codec1_br1.wav" plays="27" score="93.0"/>
      <testFile fileName="s1_reference_m24.wav" plays="31" score="100.0"/>
      <testFile fileName="s1_35anchor.wav" plays="5" score="10.0"/>
      <testFile fileName="s1_7anchor.wav" plays="5" score="29.5"/>
    </trial>
  </trials>
</MUSHRA>
"""


def test_listening_test_app(tmp_path):
    assert rows(load(tmp_path, XML, "a.xml")) == [
        ["A", "s1", "codec1_br1", 93], ["A", "s1", "href", 100], ["A", "s1", "la", 10], ["A", "s1", "ma", 29.5],
    ]  # fmt: skip


def test_listening_test_app_times_and_plays(tmp_path):
    table = load(tmp_path, XML, "a.xml")
    assert table["plays"].tolist() == ["27", "31", "5", "5"]
    assert set(table["time_ms"]) == {"142000"}
    assert set(table["date"]) == {"2022-04-19T11:27:26.611-07:00"}
    assert set(load(tmp_path, XML.replace('"142.0"', '"nan"'), "b.xml")["time_ms"]) == {"nan"}


def test_xml_of_odaq_names_conditions_without_the_trial(tmp_path):
    text = XML.replace("s1_codec1_br1", "PE_Q3").replace("s1_reference_m24", "reference")
    text = text.replace("s1_35anchor", "LP35").replace("s1_7anchor", "LP70")
    assert load(tmp_path, text, "a.xml")["condition"].tolist() == ["PE_Q3", "href", "la", "ma"]


def test_xml_errors_name_the_line(tmp_path):
    with pytest.raises(InputError, match=r"a\.xml:6: score"):
        load(tmp_path, XML.replace("93.0", "x"), "a.xml")
    with pytest.raises(InputError, match=r"a\.xml:\d+: not well-formed"):
        load(tmp_path, XML.replace("</trials>", ""), "a.xml")
    with pytest.raises(InputError, match=r"a\.xml:1: is <html>"):
        load(tmp_path, "<html></html>", "a.xml")


BEAQLE = """[{"TestID": "s1", "Runtime": 3000, "rating": {"Reference": 100, "A": 20}},
 {"TestID": "s2", "Runtime": 2000, "rating": {"A": 30.5, "Reference": 99}},
 {"UserName": "anna", "UserComment": ""}]"""


def test_beaqle(tmp_path):
    assert rows(load(tmp_path, BEAQLE, "x.txt")) == [
        ["anna", "s1", "href", 100], ["anna", "s1", "A", 20],
        ["anna", "s2", "A", 30.5], ["anna", "s2", "href", 99],
    ]  # fmt: skip
    assert load(tmp_path, BEAQLE, "x.txt")["time_ms"].tolist() == ["3000", "3000", "2000", "2000"]


def test_beaqle_with_a_test_that_this_listener_was_not_given(tmp_path):
    """BeaqleJS writes every test's name, and ratings of those only that were played (MaxTestsPerRun)."""
    text = BEAQLE.replace(' {"TestID": "s2"', ' {"TestID": "s3"},\n {"TestID": "s2"')
    assert rows(load(tmp_path, text, "x.txt")) == rows(load(tmp_path, BEAQLE, "x.txt"))
    with pytest.raises(InputError, match=r":3: score '-' is not a number"):
        load(tmp_path, text.replace("30.5", '"-"'), "x.txt")


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("30.5", "NaN", r":2: score 'NaN' is not a number"),
        ("30.5", "1e999", r":2: score"),
        ("30.5", "true", r":2: score of 'A' is not a number"),
        ("30.5", "[1]", r":2: score of 'A' is not a number"),
        ('"A": 20', '"Reference": 20', "occurs twice"),
        ('{"Reference": 100, "A": 20}', "3", ":1: test 's1' has no ratings"),
        ("}]", "}", r"x\.txt:3: not JSON"),
    ],
)
def test_beaqle_errors(tmp_path, old, new, what):
    with pytest.raises(InputError, match=what):
        load(tmp_path, BEAQLE.replace(old, new), "x.txt")


def test_long_table_under_other_headings(tmp_path):
    text = "participant;track;system;rating\nanna;x;A;87,5\n"
    assert rows(load(tmp_path, text)) == [["anna", "x", "A", 87.5]]
    with pytest.raises(InputError, match="may both be the condition"):
        load(tmp_path, "participant,track,system,codec,rating\nanna,x,A,B,87\n")


def test_lists_in_cells(tmp_path):
    text = "subject,trial,system,rating\nanna,x,\"['A', 'B']\",\"[10, 20.5]\"\n"
    assert rows(load(tmp_path, text)) == [["anna", "x", "A", 10], ["anna", "x", "B", 20.5]]
    assert rows(load(tmp_path, 'subject,trial,system,rating\nanna,x,"[""it\'s"", \'B\\\'s\']","[ 10,20]"\n')) == [
        ["anna", "x", "it's", 10], ["anna", "x", "B's", 20],
    ]  # fmt: skip
    for bad in (
        '"[10, 20"',
        '"[10, 20]]"',
        '"[10,, 20]"',
        '"[10 20]"',
        "[]",
        '"[10]"',
        '"[10, __import__(1)]"',
        '"[10, [1]]"',
        '"' + "[" * 300 + '"',
        "[10",
    ):
        with pytest.raises(InputError, match=r":2: "):
            load(tmp_path, f"subject,trial,system,rating\nanna,x,\"['A', 'B']\",{bad}\n")


def test_wide_tables(tmp_path):
    assert rows(load(tmp_path, "listener,item,la,href\nanna,x,10,99\n")) == [
        ["anna", "x", "la", 10], ["anna", "x", "href", 99],
    ]  # fmt: skip
    assert rows(load(tmp_path, "worker_id,x_la,x_href,y_la,y_href\nanna,1,2,3,4\n")) == [
        ["anna", "x", "la", 1], ["anna", "x", "href", 2], ["anna", "y", "la", 3], ["anna", "y", "href", 4],
    ]  # fmt: skip
    with pytest.raises(InputError, match=r":2: score 'soon' is not a number"):
        load(tmp_path, "listener,item,la,href\nanna,x,10,soon\n")


def test_names_that_are_no_grid(tmp_path):
    assert split_names(tmp_path, 1, ["a_1_x", "a_1_y", "b_2_x", "b_2_y"]) == [
        ("a_1", "x"), ("a_1", "y"), ("b_2", "x"), ("b_2", "y"),
    ]  # fmt: skip
    with pytest.raises(InputError, match="do not split"):
        split_names(tmp_path, 1, ["a_x", "a_y", "b_x", "c_y"])


@pytest.mark.parametrize("attack", [
    '<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;">]><MUSHRA>&b;</MUSHRA>',
    '<?xml version="1.0"?><!DOCTYPE M [<!ENTITY x SYSTEM "file:///etc/passwd">]><MUSHRA>&x;</MUSHRA>',
    '<!DOCTYPE M SYSTEM "http://example.org/x.dtd"><MUSHRA/>',
])  # fmt: skip
def test_xml_with_a_document_type_is_refused(tmp_path, attack):
    with pytest.raises(InputError, match="declares a document type"):
        load(tmp_path, attack, "a.xml")


@pytest.mark.parametrize("attack", ["[" * 100_000, "{" * 100_000,
                                    '[{"TestID": 1, "rating": {"a": ' + "9" * 5000 + "}}]",
                                    "<MUSHRA>" * 20_000, "[1, 2]", "{}", "[]"])  # fmt: skip
def test_deep_or_absurd_documents_are_refused(tmp_path, attack):
    with pytest.raises(InputError):
        load(tmp_path, attack, "a")
