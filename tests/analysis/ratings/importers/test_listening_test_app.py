"""XML of listening-test-app and ODAQ, and XML that attacks."""

import pytest

from render.common.errors import InputError

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


def test_listening_test_app(load, rows):
    assert rows(load(XML, "a.xml")) == [
        ["A", "s1", "codec1_br1", 93], ["A", "s1", "href", 100], ["A", "s1", "la", 10], ["A", "s1", "ma", 29.5],
    ]  # fmt: skip


def test_listening_test_app_times_and_plays(load):
    table = load(XML, "a.xml")
    assert table["plays"].tolist() == ["27", "31", "5", "5"]
    assert set(table["time_ms"]) == {"142000"}
    assert set(table["date"]) == {"2022-04-19T11:27:26.611-07:00"}
    assert set(load(XML.replace('"142.0"', '"nan"'), "b.xml")["time_ms"]) == {"nan"}


def test_xml_of_odaq_names_conditions_without_the_trial(load):
    text = XML.replace("s1_codec1_br1", "PE_Q3").replace("s1_reference_m24", "reference")
    text = text.replace("s1_35anchor", "LP35").replace("s1_7anchor", "LP70")
    assert load(text, "a.xml")["condition"].tolist() == ["PE_Q3", "href", "la", "ma"]


def test_xml_errors_name_the_line(load):
    with pytest.raises(InputError, match=r"a\.xml:6: score"):
        load(XML.replace("93.0", "x"), "a.xml")
    with pytest.raises(InputError, match=r"a\.xml:\d+: not well-formed"):
        load(XML.replace("</trials>", ""), "a.xml")
    with pytest.raises(InputError, match=r"a\.xml:1: is <html>"):
        load("<html></html>", "a.xml")


@pytest.mark.parametrize("attack", [
    '<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;">]><MUSHRA>&b;</MUSHRA>',
    '<?xml version="1.0"?><!DOCTYPE M [<!ENTITY x SYSTEM "file:///etc/passwd">]><MUSHRA>&x;</MUSHRA>',
    '<!DOCTYPE M SYSTEM "http://example.org/x.dtd"><MUSHRA/>',
])  # fmt: skip
def test_xml_with_a_document_type_is_refused(attack, load):
    with pytest.raises(InputError, match="declares a document type"):
        load(attack, "a.xml")
