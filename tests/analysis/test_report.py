"""The report command; tests/test_tutorial.py writes a whole report."""


def test_the_template_is_printed(command):
    assert 'room = ""' in command("analysis.report", "--template").stdout
