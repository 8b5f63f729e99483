"""What users see when reference files are missing: one table, exit code 2, and nothing was started."""

import io

import pytest
from rich.console import Console

from gpucal.progress import Stages
from tests.crds_cache import MadeCache

pytest.importorskip("crds", reason="the CRDS client is not installed: pip install 'gpucal[crds]'")


@pytest.fixture
def cache(made, tmp_path):
    """A CRDS cache for the exposure that lacks two of its files."""
    cache, rules = MadeCache(tmp_path / "cache"), {}
    for file in sorted(made[1].glob("*.fits")):
        name = f"jwst_nircam_{file.stem}_0001.fits"
        rules[file.stem] = {"NRCB1": {"2020-01-01": name}}
        if file.stem not in ("dark", "mask"):
            cache.add(name, file)
    cache.write_context(1, {"NIRCAM": rules})
    cache.note_server()
    return cache


def test_a_table_tells_what_is_missing_and_nothing_starts(cache, made, gpucal_command, tmp_path):
    code, output = gpucal_command(f"input={made[0]}", "reference=crds", f"reference.path={cache.path}")
    assert code == 2
    *_, heading, dark, mask, last = output.splitlines()
    assert heading.split() == ["reference", "file", "cause", "exposures"]
    for reftype, line in (("dark", dark), ("mask", mask)):
        assert line.startswith(f"{reftype}")
        assert f"jwst_nircam_{reftype}_0001.fits  not in the CRDS cache, and no CRDS_SERVER_URL" in line
        assert line.rstrip().endswith("_nrcb1")
    assert last == "error 1 of 1 exposures lack reference files: nothing was started (see reference.on_missing)"
    assert not list((tmp_path / "out").glob("*.fits"))


def test_other_exposures_can_be_done_all_the_same(cache, made, gpucal_command, tmp_path):
    code, output = gpucal_command(
        f"input={made[0]}", f"reference.path={cache.path}", "reference.on_missing=skip_exposure"
    )
    assert code == 1
    assert "0 of 1 exposures calibrated" in output.splitlines()[-1]


def test_with_a_server_the_files_are_fetched_and_the_batch_runs(cache, made, gpucal_command, tmp_path):
    for reftype in ("dark", "mask"):
        cache.add(f"jwst_nircam_{reftype}_0001.fits", made[1] / f"{reftype}.fits")
    with cache.served() as server:
        code, output = gpucal_command(
            f"input={made[0]}", "reference=crds", "reference.path=mine", CRDS_SERVER_URL=server.url
        )
    assert code == 0, output
    assert "jwst_nircam_dark_0001.fits" in server.sent
    assert (tmp_path / "mine" / "references" / "jwst" / "nircam" / "jwst_nircam_dark_0001.fits").exists()


def test_without_a_terminal_only_long_stages_are_told():
    console = Console(file=io.StringIO(), width=100)
    stages = Stages(console)
    stages("reading headers", 1000)(1)
    stages("fetching 1 reference file", 1000, "B")(1000)
    stages("fetching 2 reference files", 3_400_000_000, "B")(1)
    assert console.file.getvalue() == "fetching 2 reference files, 3.4 GB\n"


def test_on_a_terminal_the_bar_counts_bytes():
    console = Console(file=io.StringIO(), width=100, force_terminal=True)
    stages = Stages(console)
    with stages.bars:
        stages("fetching 2 reference files", 4_000_000, "B")(1_000_000)
    assert "fetching 2 reference files" in console.file.getvalue()
    assert "1.0 MB of 4.0 MB" in console.file.getvalue()
