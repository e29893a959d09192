"""install.py on systems that this one is not: what it would run there, and that paths with spaces stay whole.

The commands that it starts are written down instead of run; what they are is what is tested.
"""

import ast
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def install() -> ModuleType:
    """A module of its own for every test."""
    spec = importlib.util.spec_from_file_location("install_under_test", ROOT / "install.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Machine:
    """A computer with another system: its folders are there, its programs only note how they were called."""

    def __init__(
        self, install: ModuleType, patch: pytest.MonkeyPatch, system: str, torch: str = "", nvidia: bool = False
    ):
        self.commands: list[list[str]] = []
        self.torch = torch
        name = {"win32": "nt"}.get(system, "posix")
        patch.setattr(install, "os", SimpleNamespace(name=name, environ={}))
        patch.setattr(install.sys, "platform", system)
        patch.setattr(install.shutil, "which", lambda program: program if nvidia and program == "nvidia-smi" else None)
        patch.setattr(install.venv, "EnvBuilder", self._builder)
        patch.setattr(install, "run", self._run)
        patch.setattr(install, "ask", self._ask)

    def _builder(self, **_: object) -> SimpleNamespace:
        def create(folder: Path) -> None:
            for inside in ("bin", "Scripts"):
                (folder / inside).mkdir(parents=True, exist_ok=True)

        return SimpleNamespace(create=create)

    def _run(self, command: list[str]) -> None:
        self.commands.append(command)
        for word in command:
            if word.startswith("torch==") or word.startswith("torch>="):
                self.torch = "2.13.0"

    def _ask(self, python: Path, code: str) -> str | None:
        if "version('torch')" in code:
            return self.torch or None
        return "False" if "cuda" in code else "0.1.0"


def run(install: ModuleType, folder: Path, *options: str) -> tuple[int, Path]:
    target = folder / "Jo Doe" / "Face Query" / ".venv"
    return install.main(["--venv", str(target), "--no-registry", *options]), target


@pytest.mark.parametrize(
    ("system", "program"), [("linux", "bin/python"), ("darwin", "bin/python"), ("win32", "Scripts/python.exe")]
)
def test_every_command_names_the_interpreter_of_that_system(install, monkeypatch, tmp_path, system, program, capsys):
    machine = Machine(install, monkeypatch, system)
    code, target = run(install, tmp_path)
    assert code == 0
    assert {command[0] for command in machine.commands} == {str(target / program)}
    assert machine.commands[-1][1:] == ["-m", "facequery", "doctor"]
    ready = capsys.readouterr().out.strip().splitlines()[-1]
    assert ready == f"Ready: {(target / program).parent / 'facequery'}{'.exe' if system == 'win32' else ''}"


def test_a_path_with_spaces_is_one_word(install, monkeypatch, tmp_path):
    machine = Machine(install, monkeypatch, "linux")
    wheels = tmp_path / "all wheels"
    wheels.mkdir()
    run(install, tmp_path, "--offline", str(wheels), "--extras", "usd,farm")
    pip = [command for command in machine.commands if "install" in command]
    assert len(pip) == 3
    for command in pip:
        assert command[command.index("--find-links") + 1] == str(wheels)
        assert "--no-index" in command
    constraints = pip[-1][pip[-1].index("--constraint") + 1]
    assert Path(constraints).read_text(encoding="utf-8") == "torch==2.13.0\n"
    assert pip[-1][-1] == f"{ROOT}[usd,farm]"


@pytest.mark.parametrize(
    ("system", "nvidia", "options", "exact"),
    [
        ("linux", False, (), True),
        ("linux", True, (), False),
        ("linux", True, ("--cpu",), True),
        ("win32", False, (), True),
        ("darwin", False, (), False),  # Apple's build has no local version to pin
    ],
)
def test_the_build_of_pytorch_fits_the_machine(install, monkeypatch, tmp_path, system, nvidia, options, exact):
    machine = Machine(install, monkeypatch, system, nvidia=nvidia)
    assert run(install, tmp_path, *options)[0] == 0
    wanted = [word for command in machine.commands for word in command if word.startswith("torch")]
    assert len(wanted) == 1 and wanted[0].startswith("torch==") == exact


def test_a_build_for_cuda_takes_the_place_of_one_without(install, monkeypatch, tmp_path, capsys):
    machine = Machine(install, monkeypatch, "win32", torch="2.13.0+cpu", nvidia=True)
    run(install, tmp_path, "--cuda", "--torch-index", "https://example.org/whl")
    command = machine.commands[0]
    assert "--force-reinstall" in command and command[command.index("--index-url") + 1] == "https://example.org/whl"
    assert "--torch-index" in capsys.readouterr().out  # it still has none, and the user is told


def test_what_is_there_is_kept(install, monkeypatch, tmp_path):
    machine = Machine(install, monkeypatch, "linux", torch="2.13.0+cpu")
    run(install, tmp_path)
    assert not [word for command in machine.commands for word in command if word.startswith("torch")]


@pytest.mark.parametrize("version", [(3, 10, 4), (3, 14, 0)])
def test_another_python_is_refused_in_one_sentence(install, monkeypatch, tmp_path, capsys, version):
    machine = Machine(install, monkeypatch, "linux")
    monkeypatch.setattr(install.sys, "version_info", version)
    assert run(install, tmp_path)[0] == 2
    assert not machine.commands
    assert f"this is {version[0]}.{version[1]}" in capsys.readouterr().err


def test_a_much_older_python_comes_as_far_as_that_sentence():
    """macOS's own is 3.9: it has to read the file, and may not evaluate annotations that it does not know."""
    tree = ast.parse((ROOT / "install.py").read_text(encoding="utf-8"), feature_version=(3, 8))
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    assert imports[0].module == "__future__" and imports[0].names[0].name == "annotations"
    assert [node.module for node in imports[1:]] == ["pathlib"]


def test_a_step_that_fails_is_named(install, monkeypatch, tmp_path, capsys):
    Machine(install, monkeypatch, "linux")

    def fails(command: list[str]) -> None:
        raise install.subprocess.CalledProcessError(1, command)

    monkeypatch.setattr(install, "run", fails)
    assert run(install, tmp_path)[0] == 2
    assert "pip install" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("system", "variables", "place"),
    [
        ("linux", {"HOME": "{}"}, ".config/facequery"),
        ("darwin", {"HOME": "{}"}, "Library/Application Support/FaceQuery"),
        ("win32", {"USERPROFILE": "{}", "APPDATA": "{}/AppData/Roaming"}, "AppData/Roaming/FaceQuery"),
    ],
)
def test_blender_finds_it_where_that_system_keeps_such_files(tmp_path, system, variables, place):
    from facequery_protocol.registry import read_registry, registry_path, write_registry

    home = tmp_path / "Jo Doe"
    path = registry_path({name: value.format(home) for name, value in variables.items()}, system)
    assert path == home / place / "backend.json"
    command = [str(home / "Face Query" / "python"), "-m", "facequery"]
    assert write_registry(command, "0.1.0", path) == path
    assert read_registry(path) == command
    assert json.loads(path.read_text(encoding="utf-8"))["schema"] == "facequery.backend"


def test_it_starts_with_the_standard_library_alone(tmp_path):
    import subprocess

    done = subprocess.run(
        [sys.executable, "-I", "-S", str(ROOT / "install.py"), "--offline", str(tmp_path / "none")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2 and "There is no folder" in done.stderr
