"""What a user sees: one line about the machine, bars while it works, a table at the end."""

import time
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.filesize import decimal
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from gpucal.batch import plan
from gpucal.batch.runner import Quiet
from gpucal.errors import ReferenceFileError
from gpucal.model.names import stem
from gpucal.step import AS_CONFIGURED

MANY = 20  # exposures from which the table lists only failures
LONG = 100_000_000  # bytes that take more than a moment


class Display(Quiet):
    """Bars for the batch and for the exposure on the device; plain lines where there is no terminal."""

    def __init__(self, console: Console, count: int):
        self.console, self.count = console, count
        self.done = 0
        self.bars = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
            TimeRemainingColumn(), TextColumn("{task.fields[note]}"), console=console, disable=not console.is_terminal,
        )  # fmt: skip
        self.all = self.bars.add_task("exposures", total=count, note="")
        self.one = self.bars.add_task("", total=None, note="", visible=False)

    @contextmanager
    def live(self):
        """Show the bars while the block runs."""
        with self.bars:
            yield self

    def started(self, source, steps):
        """Begin the bar of an exposure."""
        self.bars.reset(self.one, total=steps or None, description=Path(source).name, note="", visible=True)

    def stepped(self, source, outcome):
        """Move on by one step."""
        self.bars.update(self.one, advance=1, note=outcome.step)

    def finished(self, fate):
        """Count an exposure; name it if there are no bars, or if it failed."""
        self.done += 1
        self.bars.update(self.all, advance=1)
        if fate.error:
            self.console.print(f"[red]failed[/] {escape(fate.error)}", soft_wrap=True)
        elif not self.console.is_terminal and self.count <= MANY:
            self.console.print(f"{self.done}/{self.count} {fate.name}", soft_wrap=True)


class Stages:
    """Bars for the stages of a preparation; a line for those that take long where there is no terminal."""

    def __init__(self, console: Console):
        self.console = console
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[done]}"),
            TimeRemainingColumn(),
        )
        self.bars = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)

    def __call__(self, what, total, unit=""):
        """Begin a stage; return the function that moves it on by an amount of its unit: files, or B for bytes."""
        if unit and not self.console.is_terminal and total > LONG:
            self.console.print(f"{what}, {decimal(total)}", soft_wrap=True)
        task = self.bars.add_task(what, total=total, done="")
        said = decimal if unit else str

        def advance(amount):
            self.bars.advance(task, amount)
            self.bars.update(task, done=f"{said(int(self.bars.tasks[task].completed))} of {said(total)}")

        return advance


def prepared(console, files, settings, references):
    """Have the reference files of a batch ready; return the exposures to calibrate and the Fates of those without.

    What is missing is printed as one table. ReferenceFileError if nothing is to start.
    """
    stages = Stages(console)
    with stages.bars:
        made = plan.make(files, settings, references, stages)
    if made.troubles:
        console.print(_missing(made))
    try:
        return made.decide(settings.run.reference.on_missing)
    except ReferenceFileError as error:
        first = str(error).splitlines()[0]
        raise ReferenceFileError(f"{first}: nothing was started (see reference.on_missing)") from None


def _missing(made):
    table = Table(box=None, pad_edge=False)
    for heading in ("reference", "file", "cause", "exposures"):
        table.add_column(heading, overflow="fold")
    for trouble, exposures in made.grouped.items():
        table.add_row(*map(escape, (trouble.reftype, trouble.file, trouble.cause, plan.named(exposures))))
    return table


def summary(console, fates, seconds, folder):
    """Print what became of the exposures, and how long it took."""
    good = [fate for fate in fates if not fate.error]
    if len(fates) <= MANY:
        console.print(_table(fates))
    for fate in fates:
        if fate.error:
            console.print(f"[red]failed[/] {escape(fate.error)}", soft_wrap=True)
    rate = f", {len(good) / seconds * 3600:.0f} exposures/h" if good else ""
    console.print(
        f"{len(good)} of {len(fates)} exposures calibrated in {seconds:.1f} s{rate}; products in {escape(str(folder))}",
        soft_wrap=True,
    )


def _table(fates):
    table = Table(box=None, pad_edge=False)
    table.add_column("exposure", no_wrap=True)
    for heading in ("status", "s", "products", "skipped"):
        table.add_column(heading, justify="right" if heading == "s" else "left")
    for fate in fates:
        name = stem(fate.source)
        products = ", ".join(path.stem.removeprefix(f"{name}_") for path in fate.products)
        skipped = ", ".join(
            outcome.step for outcome in fate.outcomes if outcome.status == "SKIPPED" and outcome.reason != AS_CONFIGURED
        )
        status = "[red]failed[/]" if fate.error else "[green]done[/]"
        table.add_row(escape(name), status, f"{fate.seconds:.2f}", escape(products), escape(skipped))
    return table


class Stopwatch:
    """Seconds since it was made."""

    def __init__(self):
        self.start = time.perf_counter()

    @property
    def seconds(self):
        """Seconds since the stopwatch was made."""
        return time.perf_counter() - self.start
