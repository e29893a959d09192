"""Every command that the pages show is run, in order, on a tiny shot, or says why not, and is parsed."""

import json
import re
import runpy
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from facequery import cli
from facequery.assets import asset
from facequery.head.model import HeadModel
from facequery.shots.images import write_picture
from manual_blocks import ROOT, SHELLS, Block, blocks, pages

MORNING = [ROOT / "docs" / "morning" / f"{name}.md" for name in ("shot", "points", "fit", "paint", "nuke", "trouble")]
RUN = [page for page in pages() if any(block.runs for block in blocks(page))]
FRAMES = range(1001, 1005)
TRACK = ["facequery", "track", "shot.####.exr", "--layout", "ibug68", "--fit", "face,skull,jaw", "--out", "job"]
RESULTS = shutil.ignore_patterns("export", "stmap", "mattes", "project", "report.html")


@pytest.fixture(scope="module")
def morning(tmp_path_factory) -> Path:
    """The folder of the first morning: a shot of four frames, a picture, and files that a user would have."""
    folder = tmp_path_factory.mktemp("morning")
    for number in FRAMES:
        picture = _sample(number).astype(np.float32) / 255
        linear = np.where(picture > 0.04045, ((picture + 0.055) / 1.055) ** 2.4, picture / 12.92).astype(np.float32)
        write_picture(folder / f"shot.{number}.exr", linear)
    shutil.copy(ROOT / "docs" / "images" / "tattoo.png", folder)
    write_picture(folder / "face.jpg", _sample(FRAMES[0]))
    mask = np.zeros((64, 64, 3), np.uint8)
    mask[20:40, 20:40] = 255
    for name in ("freckles.png", "cheek.png"):
        write_picture(folder / name, mask)
    run(folder, TRACK)
    return folder


@pytest.fixture(scope="module")
def finished(morning) -> Path:
    """The same folder with a second shot of the same person, and a mesh of their own."""
    shutil.copytree(morning / "job", morning / "other_job")
    _write_documents(morning)
    return morning


def _sample(number: int) -> np.ndarray:
    import cv2

    return np.ascontiguousarray(cv2.imread(str(asset("sample") / "plate" / f"shot.{number}.jpg"))[..., ::-1])


def _write_documents(folder: Path) -> None:
    """Our own skull as somebody's scan in millimetres, the document that places it, and a pin."""
    from facequery.head.layouts import load_layout

    model = HeadModel.load()
    span = model.parts["cranium"]
    vertices = 1000 * model.rest[span.vertices]
    triangles = model.triangles[span.triangles] - span.vertices.start + 1
    lines = [f"v {x:.3f} {y:.3f} {z:.3f}" for x, y, z in vertices] + [f"f {a} {b} {c}" for a, b, c in triangles]
    (folder / "scan.obj").write_text("\n".join(lines), encoding="utf-8")
    layout = load_layout("skull")
    landmarks = {layout.names[i]: (1000 * layout.positions[i].astype(float)).tolist() for i in (0, 1, 2, 3)}
    document = {"schema": "facequery.mesh", "version": 1, "part": "skull", "file": "scan.obj", "unit": 0.001,
                "layout": "skull", "landmarks": landmarks}  # fmt: skip
    (folder / "skull.json").write_text(json.dumps(document), encoding="utf-8")
    pins = [{"frame": FRAMES[1], "landmark": "ibug68.30", "xy": [505.0, 325.0]}]
    corrections = {"schema": "facequery.corrections", "version": 1, "pins": pins}
    (folder / "corrections.json").write_text(json.dumps(corrections), encoding="utf-8")


def run(folder: Path, words: list[str]) -> None:
    """Run a command in `folder`, in this process. Raises AssertionError when it fails."""
    before = sys.argv
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        try:
            if words[0] == "facequery":
                cli.main(words[1:])
            elif words[:2] == ["python", "-m"]:
                sys.argv = words[2:]
                runpy.run_module(words[2], run_name="__main__")
            else:
                raise AssertionError(f"{words[0]} is nothing that a page may run; say why not: <!-- not run: ... -->")
        except SystemExit as end:
            assert end.code in (0, None), f"{' '.join(words)} ended with {end.code}"
        finally:
            sys.argv = before


def play(page: Path, folder: Path) -> None:
    """Write the files that a page shows into `folder`, and run its other blocks in order."""
    for block in (block for block in blocks(page) if block.title):
        (folder / block.title).write_text(block.text, encoding="utf-8")
    for block in (block for block in blocks(page) if block.runs and not block.title):
        if block.language in SHELLS:
            for words in block.commands():
                run(folder, words)
        else:
            with pytest.MonkeyPatch.context() as patch:
                patch.chdir(folder)
                exec(compile(block.text, block.where, "exec"), {"__name__": "example"})


@pytest.mark.parametrize("page", MORNING, ids=lambda page: page.stem)
def test_the_first_morning_goes_through(page, morning, request):
    if page not in MORNING[:2]:
        request.getfixturevalue("finished")
    play(page, morning)


@pytest.mark.parametrize(
    "page", [page for page in RUN if page not in MORNING], ids=lambda page: page.relative_to(ROOT).as_posix()
)
def test_the_commands_of_a_page_run(page, finished, tmp_path, monkeypatch):
    from facequery.models import encoders

    monkeypatch.setattr(encoders, "ENCODERS", dict(encoders.ENCODERS))  # an example adds one
    folder = tmp_path / "shots"
    shutil.copytree(finished, folder, ignore=RESULTS)
    play(page, folder)


SKIPPED = [block for page in pages() for block in blocks(page) if block.reason]


def test_what_is_not_run_has_a_reason():
    assert SKIPPED
    for block in SKIPPED:
        assert len(block.reason.split()) >= 2, block.where


@pytest.mark.parametrize("block", [b for b in SKIPPED if b.language in SHELLS], ids=lambda block: block.where)
def test_what_is_not_run_is_parsed(block):
    """Commands, options, modules and targets that are not there any more are found all the same."""
    for words in block.commands():
        check(words, block)


def check(words: list[str], block: Block) -> None:
    if words[0] == "torchrun":
        words = ["python", *words[words.index("-m") :]]
    if words[0].endswith("facequery") or words[1:3] == ["-m", "facequery"]:
        cli.mount_training()
        import typer

        arguments = words[1:] if words[1:2] != ["-m"] else words[3:]
        group = typer.main.get_command(cli.app)
        command = group.commands[arguments[0]]  # type: ignore[attr-defined]
        command.make_context(arguments[0], arguments[1:])  # ends the test where a word is unknown
    elif words[1:2] == ["-m"] and not words[2].startswith(("pip", "pytest")):
        source = source_of(words[2])
        assert source, f"{block.where}: no {words[2]}"
        for option in (word for word in words[3:] if word.startswith("--") and word != "--help"):
            assert f'"{option}"' in source, f"{block.where}: {words[2]} has no {option}"
    elif words[0] == "make":
        text = (ROOT / "Makefile").read_text(encoding="utf-8")
        for target in (word for word in words[1:] if "=" not in word):
            assert re.search(rf"^{re.escape(target)}:", text, re.MULTILINE), f"{block.where}: no target {target}"
    elif any(word.endswith("install.py") for word in words[:3]):
        source = (ROOT / "install.py").read_text(encoding="utf-8")
        for option in (word for word in words if word.startswith("--")):
            assert f'"{option}"' in source, f"{block.where}: install.py has no {option}"


def source_of(module: str) -> str:
    """The text of a module of the repository that is run with -m; empty when there is none."""
    for folder in (ROOT, ROOT / "backend"):
        path = folder / module.replace(".", "/")
        for file in (path.with_suffix(".py"), path / "__main__.py"):
            if file.is_file():
                return file.read_text(encoding="utf-8")
    return ""


SHELL_BLOCKS = [block for page in pages() for block in blocks(page) if block.language == "bash"]


@pytest.mark.parametrize("block", SHELL_BLOCKS, ids=lambda block: block.where)
def test_commands_can_be_pasted_into_zsh(block):
    """The shell of macOS takes a remark behind a command for arguments, and refuses brackets that match no file."""
    for line in block.text.splitlines():
        assert not re.search(r"(^|\s)#", line), line
        bare = re.sub(r"\"[^\"]*\"|'[^']*'", "", line)
        assert not re.search(r"[?\[\]]", bare), line


def test_no_command_stands_outside_of_a_block():
    from manual_blocks import prose

    command = re.compile(r"^ {4,}(facequery|python3?|py|make|pip|torchrun|git) .*$", re.MULTILINE)
    for page in pages():
        found = command.search(prose(page))
        assert found is None, f"{page.name}: {found.group(0).strip()}" if found else ""
