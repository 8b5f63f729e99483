"""What official steps say of themselves: their statuses in the header, and their messages in the log."""

import contextlib
import logging

from gpucal.model.official import first

log = logging.getLogger(__name__)
LOGGERS = ("jwst", "stcal", "stpipe", "tweakwcs")
STATUS = {"dark_current": "dark_sub"}  # names in meta.cal_step that are not the step's


def status_name(official):
    """Return the name in meta.cal_step of an official class."""
    return STATUS.get(official.class_alias, official.class_alias)


def statuses(tree):
    """The statuses of all steps in the metadata of a model, of the first of several."""
    steps = getattr(getattr(first(tree), "meta", None), "cal_step", None)
    return dict(steps.instance) if steps is not None else {}


def new_status(before, result, official):
    """Return what the official step noted about itself."""
    after = statuses(result[0] if isinstance(result, tuple) else result)
    changed = [status for name, status in after.items() if before.get(name) != status]
    return after.get(status_name(official)) or (changed[0] if changed else None)


def reason(step):
    """Say why the official step has skipped itself: the first of its warnings."""
    for record in step.log_records:
        parts = record.split(" - ", 3)
        if len(parts) == 4 and parts[2] == "WARNING":
            return parts[3].splitlines()[0].rstrip(".;")
    return "by its own decision"


class _Forward(logging.Handler):
    """Passes the official packages' messages on to gpucal's log, with a name in front."""

    def __init__(self, prefix):
        super().__init__()
        self.prefix = prefix

    def emit(self, record):
        log.log(record.levelno, "%s: %s", self.prefix, record.getMessage())


@contextlib.contextmanager
def heard(prefix):
    """Put what the official packages say into gpucal's log alone, with a prefix, until the block ends."""
    handler, loggers = _Forward(prefix), [logging.getLogger(name) for name in LOGGERS]
    before = [(logger.propagate, logger.level) for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.propagate = False
        logger.setLevel(log.getEffectiveLevel())
    try:
        yield
    finally:
        for logger, (propagate, level) in zip(loggers, before, strict=True):
            logger.removeHandler(handler)
            logger.propagate = propagate
            logger.setLevel(level)
