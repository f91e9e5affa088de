"""Order and names of conditions."""

from analysis.ratings.conditions import condition_order, labels, looking_like_reference_or_anchor


def test_order_and_labels_are_the_papers():
    ids = ["prop", "href", "opus3_160", "la", "ma", "prop_9cb", "prop_12cb"]
    assert condition_order(ids) == ["la", "ma", "opus3_160", "prop", "prop_9cb", "prop_12cb", "href"]
    assert list(labels(["la", "opus3_160", "prop", "href"]).values()) == ["LA", "OPUS", "PROP", "H-REF"]
    assert labels(["ma", "opus3_256"]) == {"ma": "MA", "opus3_256": "OPUS3_256"}
    assert labels(["Codec B, 24 kbit/s"]) == {"Codec B, 24 kbit/s": "Codec B, 24 kbit/s"}


def test_digits_of_other_scripts_are_letters_of_a_name():
    names = ["5\u00b2", "\u0665", "\u2460", "opus10", "opus9", "9"]
    assert condition_order(names) == ["5\u00b2", "9", "opus9", "opus10", "\u0665", "\u2460"]
    assert condition_order(["5\u00b2", "href", "5"]) == ["5", "5\u00b2", "href"]


def test_names_that_look_like_reference_or_anchors_are_named_once():
    said = looking_like_reference_or_anchor(["Ref", "lp3.5", "mid-anchor", "prop", "opus3_160", "aac"])
    assert [line.split(" is taken")[0] for line in said] == ["Ref", "lp3.5", "mid-anchor"]
    assert [line.rpartition("give ")[2].split()[0] for line in said] == [
        "--reference",
        "--low-anchor",
        "--mid-anchor",
    ]
    assert looking_like_reference_or_anchor(["href", "la", "ma", "reference_b", "anchor"]) == []
