"""The parts of the extension that need no scene."""


def test_core(run_script, tmp_path):
    assert run_script("core.py", tmp_path).count(" good\n") == 10
