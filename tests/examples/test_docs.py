"""The documents say nothing that is not so: tests that they name exist, links lead somewhere, settings are settings."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("examples/*/*.md")])


@pytest.fixture(params=DOCUMENTS, ids=[str(path.relative_to(ROOT)) for path in DOCUMENTS])
def document(request):
    return request.param


def test_tests_that_are_named_exist(document):
    file = None
    for found in re.finditer(r"`(tests/[\w/]+(?:\.py)?|\.\.\.)?(?:::(\w+))?`", document.read_text()):
        if found[1] and found[1] != "...":
            file = ROOT / found[1]
            assert file.exists() or "my_step" in file.name, found[0]
        if found[2]:
            assert f"def {found[2]}(" in file.read_text(), found[0]


def test_links_lead_somewhere(document):
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text()):
        assert (document.parent / target).exists(), target


def test_settings_that_are_named_exist(document):
    from gpucal.settings import Settings

    known = {one.key for one in Settings().explained()}
    for name in re.findall(r"`(?:gpucal )?(steps\.\w+\.\w+)=", document.read_text()):
        assert name in known or name.startswith(("steps.flag_low", "steps.jwst_")), name


def test_no_row_of_the_table_is_empty():
    rows = [line for line in (ROOT / "docs" / "stpipe.md").read_text().splitlines() if line.startswith("| ")]
    assert len(rows) > 25
    assert all(all(cell.strip() for cell in row.strip("|").split("|")) for row in rows)
