"""Runner: take exposures from files to files, with reading, calibration and writing side by side.

At any time one exposure is being read or waits to be calibrated, one is on the device, and the products of one wait or
are being written; memory does not grow with the length of the batch.
"""

import itertools
import json
import logging
import queue
import threading
import time
import traceback
from pathlib import Path

from gpucal import model, provenance
from gpucal.batch import parts
from gpucal.batch.fate import Fate
from gpucal.errors import ConfigError, GpucalError, InputError
from gpucal.model.image import Cube, Slopes
from gpucal.model.names import with_suffix
from gpucal.model.outline import outline

log = logging.getLogger(__name__)
END = object()


class Quiet:
    """Watches a batch and says nothing; the interface of progress displays."""

    def started(self, source, steps):
        """An exposure goes onto the device; so many steps, 0 if that is not known."""

    def stepped(self, source, outcome):
        """A step of it is over."""

    def finished(self, fate):
        """Its products are written, or it has failed."""


def calibrate(files, settings, references, watch=None):
    """Calibrate every file by the settings; return their Fates in the order they ended.

    A failure ends one exposure, not the batch. KeyboardInterrupt stops reading; what is calibrated is still written.
    """
    if settings.run.output_file and len(files) > 1:
        raise ConfigError(f"output_file={settings.run.output_file}: is one name, but there are {len(files)} exposures")
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
        self.shape = None  # of an exposure that is larger than memory; its contents are then those of one integration
        self.products = []  # (packed model, path)
        self.beside = []  # (what writes a file, path)


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
            job.shape = parts.too_large(source, self.references.device, self.settings.run.runner.memory)
            job.contents = model.read(source, integrations=(0, 1) if job.shape else None)
        return job

    def compute(self, job):
        if not job.fate.error:
            start = time.perf_counter()
            with _noted(job.fate), provenance.recording(job.fate.log):
                self._calibrate(job)
            job.fate.seconds = time.perf_counter() - start
        job.contents = None
        return job

    def write(self, job):
        with _noted(job.fate):
            for number, (packed, path) in enumerate(job.products):
                self._write(job.fate, packed, path, beside=number == 0)
            for write, path in job.beside:
                write(path)
                job.fate.products.append(path)
        job.products, job.beside = [], []
        self.fates.append(job.fate)
        self.watch.finished(job.fate)

    def _calibrate(self, job):
        fate = job.fate
        run = self.settings.run
        self._require_instrument(job.contents)
        pipeline = self.settings.pipeline_for(job.contents, self.references)
        self.watch.started(fate.source, len(pipeline.steps))
        before_fit = [
            one for one, after in itertools.pairwise(pipeline.steps) if getattr(after, "alias", "") == "ramp_fit"
        ]

        def on_step(step, outcome, result):
            fate.outcomes.append(outcome)
            self.watch.stepped(fate.source, outcome)
            self._take_beside(job, result)
            self._take_byproducts(job, result)
            if step.save_results or run.save_all:
                self._save(job, result, step.suffix or step.alias)
            if run.save_calibrated_ramp and step in before_fit:
                self._save(job, result, "ramp")

        # No variable here holds the ramp: its memory is free as soon as the slopes are there.
        seen = run.save_all or run.save_calibrated_ramp  # somebody wants to see the ramp on its way
        steps = parts.divided(pipeline, outline(fate.source)) if job.shape and not seen else None
        if steps:
            memory = parts.limit(self.references.device, run.runner.memory)
            work = parts.Divided(fate.source, job.shape, steps, self.references, memory, self.folder)
            result = work.run(on_step)
        else:
            if job.shape:
                log.warning("%s: larger than memory, but its steps need all of it at once", fate.source)
                job.contents = model.read(fate.source)
            result, _ = pipeline.run(self._unpack(job), self.references, on_step)
        self._take_byproducts(job, result)
        job.products = [*self._packed(job, result, pipeline.suffix, last=True), *job.products]

    def _save(self, job, result, suffix):
        """Write what is not the last product at once: the queue would hold a copy of the ramp for each."""
        for packed, path in self._packed(job, result, suffix):
            self._write(job.fate, packed, path)

    def _write(self, fate, packed, path, beside=False):
        """Write a product, with its provenance in it and, if wanted, beside it."""
        durable = self.settings.run.runner.durable
        made = provenance.record(fate, packed.tree, self.settings, self.references)
        packed.tree._instance["gpucal"] = provenance.scrubbed(made)
        fate.products.append(model.write(packed, path, durable))
        if beside and self.settings.run.sidecar:
            with model.whole_file(provenance.beside(path), durable) as file:
                file.write(json.dumps(made, indent=1).encode())

    def _unpack(self, job):
        contents, job.contents = job.contents, None
        return contents.unpack(self.references.device)

    def _packed(self, job, result, suffix, last=False, exact=False):
        """Take a result off the device; return (packed model, path), its suffix that of its kind or the one given.

        exact: the suffix given is whole, so that rates of integrations get no `ints` behind it.
        """
        kinds = [
            (one, one.suffix if suffix is None else suffix + ("ints" if isinstance(one, Cube) and not exact else ""))
            for one in (result if isinstance(result, Slopes) else [result])
        ]
        if last and isinstance(result, Slopes) and result.optional:
            kinds.append((result.optional, result.optional.suffix))
        for one, name in kinds:
            called = getattr(one, "name", "") or self.settings.run.output_file or job.fate.source
            for suffixed, piece in _pieces(name, one):
                path = with_suffix(called, suffixed, self.folder, self.ending)
                yield model.pack(piece, big_endian=self.ending == ".fits", last=last), path

    def _take_byproducts(self, job, result):
        """Take from a result what steps made besides."""
        for one in result if isinstance(result, Slopes) else [result]:
            while one.byproducts:
                suffix, product = one.byproducts.popitem()
                job.products += self._packed(job, product, suffix, last=True, exact=True)

    def _take_beside(self, job, result):
        """Take from a result what a step wants to be written beside the products."""
        for ending, write in getattr(result, "beside", {}).items():
            suffix, dot, kind = ending.rpartition(".")
            job.beside.append((write, with_suffix(job.fate.source, suffix, self.folder, dot + kind)))
        if hasattr(result, "beside"):
            result.beside.clear()

    def _require_instrument(self, contents):
        """Raise InputError if an exposure is not from the instrument, or of the type, that was asked for."""
        found = (contents.tree.meta.instrument.name or "").lower()
        asked = self.settings.instrument
        if not found:
            raise InputError(f"{contents.source}: keyword INSTRUME is missing")
        if asked and found != asked:
            raise InputError(f"{contents.source}: is from {found}, but +instrument={asked} was asked for")
        mode, exp_type = self.settings.mode, contents.tree.meta.exposure.type
        if mode and exp_type != mode:
            raise InputError(f"{contents.source}: EXP_TYPE is {exp_type}, but mode={mode} was asked for")


def _pieces(suffix, product):
    """The products that a model makes, by suffix: of a list of models, 0_s3d and 1_s3d."""
    parts = getattr(product, "parts", ())
    if len(parts) < 2:
        return [(suffix, product)]
    return [(f"{place}_{suffix}", model.Opaque(part, product.source)) for place, part in enumerate(parts)]


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
