"""The generated pages name everything that they are generated from."""

import re

from facequery.worker import default_registry
from facequery_protocol import messages
from manual_blocks import ROOT

from tools.manual import commands, errors, panels, worker


def test_every_command_and_option_is_there():
    page = commands.commands_page()
    group = commands.command_tree()
    assert {"track", "train", "eval", "doctor"} <= set(group.commands)
    for name, command in group.commands.items():
        section = page.partition(f"## facequery {name}\n")[2].partition("\n## ")[0]
        assert command.help.split()[0] in section
        for parameter in command.params:
            for option in (o for o in parameter.opts if o.startswith("--") and o != "--help"):
                assert option in section, f"{name} {option}"


def test_every_error_number_is_there_with_its_words():
    page = errors.errors_page()
    in_code = set()
    for folder in errors.FOLDERS:
        for path in (ROOT / folder).rglob("*.py"):
            in_code |= set(re.findall(r'"(FQ\d{3})"', path.read_text(encoding="utf-8")))
    told = {place.code for place in errors.places() if place.cause}
    on_page = set(re.findall(r"\| (?:<span id=\"fq\d+\"></span>)?(FQ\d{3}) \|", page))
    assert on_page == told
    assert in_code - on_page <= {"FQ000", "FQ300", "FQ301", "FQ700"}, "numbers without a sentence"  # the classes' own


def test_every_method_of_the_worker_says_what_it_takes():
    page = worker.worker_page()
    for name in default_registry().names:
        assert f"### {name}\n" in page
    for name, text in worker.method_texts().items():
        assert len(text.split()) > 5, name
    assert str(messages.USER_ERROR) in page


def test_every_panel_and_operator_is_there():
    page = panels.panels_page()
    titles = {panel.title for panel in panels.panels()}
    assert {"Head", "Points", "Shot", "Track", "Correct", "Fit", "Project", "Export"} <= titles
    for name, (label, said) in panels.operators().items():
        assert said, f"{name} has no description"
        assert said in page, f"{name} ({label})"


def test_every_schema_is_among_the_formats():
    page = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
    found = set()
    for folder in ("backend", "blender_addon"):
        for path in (ROOT / folder).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            found |= set(re.findall(r'SCHEMA\b[^=\n]*= \(?"(facequery\.\w+)"|"schema": "(facequery\.\w+)"', text))
    names = {name for pair in found for name in pair if name}
    assert len(names) > 8
    assert {name for name in names if f"`{name}`" not in page} == set()
