"""Points on the head, in the real bpy module."""


def test_points(run_script, tmp_path):
    printed = run_script("points.py", tmp_path)
    assert printed.count("good") == 11
