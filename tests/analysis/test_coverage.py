"""The coverage command."""


def test_every_convention_is_counted(command):
    counted = command("analysis.coverage", "--trials", 20, "--draws", 0)
    assert counted.stdout.startswith("SIMULATED: 20 tests of 8 listeners x 8 items")
    for name in ("paper (t, all ratings)", "listener (t, listener means)", "crossed (Satterthwaite)"):
        assert name in counted.stdout
    assert "bootstrap" not in counted.stdout
