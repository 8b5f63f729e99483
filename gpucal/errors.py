"""What can go wrong, and what the user is told: one line, naming the file and the cause."""


class GpucalError(Exception):
    """The cause of a failure in words for the user; never shown with a traceback."""


class ConfigError(GpucalError):
    """The configuration asks for something that does not exist or cannot be."""


class InputError(GpucalError):
    """An exposure cannot be read or lacks what a step needs."""


class ReferenceFileError(GpucalError):
    """A reference file is missing, unreadable or made for something else."""


class HookError(GpucalError):
    """What a user attached to a step cannot be found, or failed."""


class OutputError(GpucalError):
    """A product cannot be written."""


class DeviceError(GpucalError):
    """The requested kind of hardware, or its compiler, is not usable."""


class Skip(Exception):
    """Raised by a step, before it has changed anything, to say why it has nothing to do."""

    status = "SKIPPED"


class Failed(Skip):
    """Raised by a step, before it has changed anything, that cannot do what was asked; the exposure goes on."""

    status = "FAILED"
