"""Links, pictures and anchors of all pages lead somewhere, and the manual has every page in its contents."""

import posixpath
import re

import pytest
from manual_blocks import ROOT, prose

PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "assets/**/*.md", "benchmarks/results/*.md", "blender_addon/*.md")
    for path in ROOT.glob(pattern)
)
GENERATED = {
    "docs/reference/commands.md",
    "docs/reference/panels.md",
    "docs/reference/worker.md",
    "docs/reference/errors.md",
}
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)[^)]*\)")
_HEADING = re.compile(r"^#{1,6} (.+?)\s*$", re.MULTILINE)


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as code hosts and MkDocs make them."""
    plain = [re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower()) for heading in _HEADING.findall(text)]
    return {re.sub(r"\s+", "-", heading.strip()) for heading in plain}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page):
    here = page.relative_to(ROOT).as_posix()
    for target in _LINK.findall(prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        there = posixpath.normpath(posixpath.join(posixpath.dirname(here), path)) if path else here
        if there in GENERATED:
            continue
        assert (ROOT / there).exists(), f"{here} leads to {target}, which is not there"
        if anchor and there.endswith(".md"):
            assert anchor in anchors((ROOT / there).read_text(encoding="utf-8")), f"{here}: no heading for {target}"


def test_the_contents_name_every_page():
    contents = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    named = set(re.findall(r"[\w/]+\.md", contents.partition("\nnav:")[2]))
    there = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    assert named == there | {path.removeprefix("docs/") for path in GENERATED}


def test_every_table_of_measurements_is_told_of():
    page = (ROOT / "docs" / "understanding" / "measured.md").read_text(encoding="utf-8")
    for table in (ROOT / "benchmarks" / "results").glob("*.md"):
        assert f"results/{table.name})" in page, table.name


def test_pictures_are_small():
    pictures = [path for path in (ROOT / "docs").rglob("*") if path.suffix in (".jpg", ".png", ".webp", ".svg")]
    assert pictures
    for path in pictures:
        assert path.stat().st_size < (2_000_000 if path.suffix == ".webp" else 500_000), path.name
