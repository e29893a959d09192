"""Presets of panels, those that ship and the artist's own."""


def test_presets(run_script, tmp_path):
    assert run_script("presets.py", tmp_path).count(" good") == 2
