"""The file in which exposures hand on persistence windows that are still open, in the official pipeline's format."""

import numpy as np

from gpucal.errors import InputError, OutputError
from gpucal.model.save import whole_file


def read_windows(path, detector, duration, shape):
    """Return when each pixel's window closes: (ny, nx) seconds since 1970, 0 where none is open.

    All 0 if the file has none of this detector, or windows of another duration. InputError if it cannot be read or
    its pixels lie outside the shape.
    """
    import asdf

    until = np.zeros(shape)
    try:
        with asdf.open(path, memmap=False, lazy_load=False) as file:
            part = file.tree.get(detector)
            if part is not None and part["pers_time"] == duration:
                until[np.asarray(part["rows"]), np.asarray(part["cols"])] = part["vals"]
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise InputError(f"persistence_array_file={path}: {error}") from error
    return until


def write_windows(path, detector, until, duration, filename):
    """Write the open windows of a detector; those of other detectors in the file stay. OutputError if it cannot be."""
    import asdf

    tree = {}
    try:
        if path.exists():
            with asdf.open(path, memmap=False, lazy_load=False) as file:
                tree = {key: file.tree[key] for key in file.tree if key not in ("asdf_library", "history")}
    except (OSError, ValueError) as error:
        raise OutputError(f"save_persistence={path}: {error}") from error
    rows, columns = np.nonzero(until)
    tree[detector] = {
        "filename": filename, "rows": rows, "cols": columns, "vals": until[rows, columns], "pers_time": duration,
    }  # fmt: skip
    with whole_file(path) as file:
        asdf.AsdfFile(tree).write_to(file)
