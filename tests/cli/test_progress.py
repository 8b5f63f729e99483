"""What a run shows while it lasts and at its end."""

import io

import gpucal
from gpucal.batch.fate import Fate
from gpucal.progress import Display, summary
from gpucal.step import Outcome


def console(**options):
    from rich.console import Console

    return Console(file=io.StringIO(), width=120, **options)


def test_a_terminal_sees_a_bar_of_the_steps_of_its_pipeline():
    screen = console(force_terminal=True, color_system=None)
    with Display(screen, 1).live() as display:
        display.started("data/x_uncal.fits", 4)
        for name in ("dq_init", "superbias"):
            display.stepped("data/x_uncal.fits", Outcome(name, "COMPLETE", "", 0.1))
        display.bars.refresh()
    shown = screen.file.getvalue()
    assert "x_uncal.fits" in shown
    assert "2/4" in shown
    assert "superbias" in shown


def test_a_file_sees_lines(made, tmp_path):
    page = console()
    display = Display(page, 1)
    (fate,) = gpucal.run(made[0], tmp_path, references=made[1], stop_after="ipc")
    display.finished(fate)
    display.finished(Fate("y_uncal.fits", error="y_uncal.fits: truncated"))
    assert page.file.getvalue().splitlines() == [f"1/1 {made[0].name}", "failed y_uncal.fits: truncated"]


def test_steps_skipped_for_a_reason_of_the_exposure_are_named(tmp_path):
    page = console()
    outcomes = [
        Outcome("group_scale", "SKIPPED", "no FRMDIVSR", 0), Outcome("ipc", "SKIPPED", "as configured", 0),
        Outcome("jump", "COMPLETE", "", 1),
    ]  # fmt: skip
    summary(page, [Fate("x_uncal.fits", products=[tmp_path / "x_rate.fits"], outcomes=outcomes)], 2.0, tmp_path)
    (line,) = [line for line in page.file.getvalue().splitlines() if line.startswith("x ")]
    assert line.split() == ["x", "done", "0.00", "rate", "group_scale"]
