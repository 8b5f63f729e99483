"""Runner: take exposures from files to files, with reading, calibration and writing side by side.

At any time one exposure is being read or waits to be calibrated, one is on the device, and the products of one wait or
are being written; memory does not grow with the length of the batch.
"""

import logging
import queue
import threading
import time
import traceback
from pathlib import Path

from gpucal import model
from gpucal.batch.fate import Fate
from gpucal.errors import GpucalError, InputError
from gpucal.model.image import Slopes
from gpucal.model.names import with_suffix

log = logging.getLogger(__name__)
END = object()


class Quiet:
    """Watches a batch and says nothing; the interface of progress displays."""

    def started(self, source):
        """An exposure goes onto the device."""

    def stepped(self, source, outcome):
        """A step of it is over."""

    def finished(self, fate):
        """Its products are written, or it has failed."""


def calibrate(files, settings, references, watch=None):
    """Calibrate every file by the settings; return their Fates in the order they ended.

    A failure ends one exposure, not the batch. KeyboardInterrupt stops reading; what is calibrated is still written.
    """
    work = _Work(settings, references, watch or Quiet())
    if settings.run.runner.kind == "inline":
        for source in files:
            work.write(work.compute(work.read(source)))
    else:
        _stream(files, work)
    return work.fates


def _stream(files, work):
    to_device: queue.Queue = queue.Queue()
    to_disk: queue.Queue = queue.Queue()
    may_read, may_compute = threading.Semaphore(1), threading.Semaphore(1)
    stop = threading.Event()

    def reader():
        for source in files:
            may_read.acquire()
            if stop.is_set():
                break
            to_device.put(work.read(source))
        to_device.put(END)

    def writer():
        while (job := to_disk.get()) is not END:
            work.write(job)
            del job
            may_compute.release()

    threads = [threading.Thread(target=target, daemon=True) for target in (reader, writer)]
    for thread in threads:
        thread.start()
    try:
        while (job := to_device.get()) is not END:
            may_read.release()
            job = work.compute(job)
            may_compute.acquire()  # the writer has taken and finished what was before
            to_disk.put(job)
            del job
    finally:
        stop.set()
        may_read.release()
        to_disk.put(END)
        threads[1].join()


class _Job:
    """An exposure on its way: first its packed contents, then its packed products."""

    def __init__(self, source):
        self.fate = Fate(str(source))
        self.contents = None
        self.products = []  # (packed model, path)


class _Work:
    """The three stations of an exposure. None of them raises: what goes wrong is noted in the fate."""

    def __init__(self, settings, references, watch):
        self.settings, self.references, self.watch = settings, references, watch
        self.folder = Path(settings.run.output_dir)
        self.ending = "." + settings.run.output_ext
        self.fates: list[Fate] = []

    def read(self, source):
        job = _Job(source)
        with _noted(job.fate):
            job.contents = model.read(source)
        return job

    def compute(self, job):
        if not job.fate.error:
            self.watch.started(job.fate.source)
            start = time.perf_counter()
            with _noted(job.fate):
                self._calibrate(job)
            job.fate.seconds = time.perf_counter() - start
        job.contents = None
        return job

    def write(self, job):
        durable = self.settings.run.runner.durable
        with _noted(job.fate):
            for packed, path in job.products:
                job.fate.products.append(model.write(packed, path, durable))
        job.products = []
        self.fates.append(job.fate)
        self.watch.finished(job.fate)

    def _calibrate(self, job):
        fate = job.fate
        pipeline = self.settings.pipeline(self._instrument(job.contents))

        def on_step(step, outcome, result):
            fate.outcomes.append(outcome)
            self.watch.stepped(fate.source, outcome)
            if step.save_results:
                self._pack(job, result, step.alias)

        # No variable here holds the ramp: its memory is free as soon as the slopes are there.
        result, _ = pipeline.run(self._unpack(job), self.references, on_step)
        self._pack(job, result, last=True)

    def _unpack(self, job):
        contents, job.contents = job.contents, None
        return contents.unpack(self.references.device)

    def _pack(self, job, result, suffix=None, last=False):
        """Take a result off the device, under the suffix of its kind or, for a single step's, its name."""
        kinds: list[tuple[model.Model, str]]
        if isinstance(result, Slopes):
            kinds = [(result.rate, suffix or "rate"), (result.rateints, f"{suffix}ints" if suffix else "rateints")]
            kinds += [(result.optional, result.optional.suffix)] if last and result.optional else []
        else:
            kinds = [(result, suffix or "ramp")]
        for one, name in kinds:
            path = with_suffix(getattr(one, "name", "") or job.fate.source, name, self.folder, self.ending)
            job.products.append((model.pack(one, big_endian=self.ending == ".fits", last=last), path))

    def _instrument(self, contents):
        """The instrument of an exposure; InputError if it is not the one that was asked for."""
        found = (contents.tree.meta.instrument.name or "").lower()
        asked = self.settings.instrument
        if not found:
            raise InputError(f"{contents.source}: keyword INSTRUME is missing")
        if asked and found != asked:
            raise InputError(f"{contents.source}: is from {found}, but +instrument={asked} was asked for")
        return found


class _noted:
    """Note in a fate what goes wrong in the block, and go on."""

    def __init__(self, fate):
        self.fate = fate

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if error is None or not isinstance(error, Exception):
            return False
        if isinstance(error, GpucalError):
            self.fate.error = str(error)
        elif isinstance(error, MemoryError):
            self.fate.error = f"{self.fate.source}: not enough memory"
        else:
            self.fate.error = f"{self.fate.source}: {type(error).__name__}: {error}"
            log.debug("%s", "".join(traceback.format_exception(error)))
        return True
