"""Tables of sensitivity: the row that is an exposure's, and how sensitivity declines with time."""

import numpy as np

from gpucal.errors import ReferenceFileError

# What picks the row, by instrument; FGS has no filters. NIRCam's subarray counts where the table has a column of it.
KEYS = {"NIRCAM": ("filter", "pupil"), "NIRISS": ("filter", "pupil"), "MIRI": ("filter", "subarray"), "FGS": ()}
LAWS = {  # extension, without what all begin with -> its columns
    "LINEAR": ("t0", "lossperyear"),
    "EXPONENTIAL": ("t0", "amplitude", "tau", "const"),
    "POWERLAW": ("t0", "year1value", "tsoft", "alpha"),
}


def conversion(photom, exposure, in_time=True):
    """Return the MJy/sr of one DN/s, float32; float64 where a decline is taken into account; None without a row.

    photom: the reference. in_time: take the decline into account.
    """
    row = find_row(photom, exposure)
    if row is None:
        return None
    factor = np.float32(photom.table("PHOTOM").field("photmjsr")[row])
    sensitivity = remaining(photom, exposure)[row] if in_time else 1.0
    return factor if sensitivity == 1 else factor / sensitivity


def find_row(photom, exposure):
    """Return the number of the row that belongs to an exposure; None if there is none."""
    table = photom.table("PHOTOM")
    names = {name.lower() for name in table.columns.names}
    if "wavelength" in names or "photmjsr" not in names:
        raise ReferenceFileError(f"{photom.path}: is not for images, which have a column photmjsr and no wavelength")
    wanted = keys(photom, exposure)
    if not wanted:
        return 0
    rows = _matching(table, wanted)
    if not len(rows) and exposure.meta.instrument.name.upper() == "MIRI":
        rows = _matching(table, wanted | {"subarray": "GENERIC"})  # of older files
    if len(rows) > 1:
        raise ReferenceFileError(f"{photom.path}: {len(rows)} rows for {named(wanted)}")
    return int(rows[0]) if len(rows) else None


def keys(photom, exposure):
    """Return what picks the row of an exposure: {"filter": "F200W", ...}."""
    instrument = exposure.meta.instrument
    columns = KEYS[instrument.name.upper()]
    if instrument.name.upper() == "NIRCAM" and "subarray" in photom.table("PHOTOM").columns.names:
        columns = (*columns, "subarray")
    values = {"filter": instrument.filter, "pupil": instrument.pupil, "subarray": exposure.meta.subarray.name}
    return {column: str(values[column] or "").upper() for column in columns}


def named(wanted):
    """Say what picks the row: FILTER F200W, PUPIL CLEAR."""
    return ", ".join(f"{column.upper()} {value or 'missing'}" for column, value in wanted.items())


def remaining(photom, exposure):
    """Return the sensitivity that every row has left at the middle of the exposure, float64.

    1 without a table that says so; what several tables say is multiplied, each in single precision as officially.
    InputError without EXPMID where there is such a table.
    """
    rows = photom.table("PHOTOM")
    left = np.ones(len(rows))
    for law, columns in LAWS.items():
        extension = f"TIMECOEFF_{law}"
        if extension not in photom.tables:
            continue
        table = photom.table(extension)
        if len(table) != len(rows) or not all(_agree(rows, table, name) for name in ("filter", "pupil", "subarray")):
            raise ReferenceFileError(f"{photom.path}: the rows of {extension} are not those of PHOTOM")
        left *= _decline(law, exposure.need("exposure.mid_time"), *(np.array(table.field(c), "f4") for c in columns))
    return left


def _decline(law, day, t0, *constants):
    """What is left on a day, MJD, of the sensitivity on day t0."""
    if law == "LINEAR":
        (loss_per_year,) = constants
        return 1.0 - loss_per_year * (day - t0) / 365.0
    if law == "EXPONENTIAL":
        amplitude, tau, rest = constants
        return amplitude * np.exp(-(day - t0) / tau) + rest
    after_a_year, softening, power = constants
    scale = ((365.0 + softening) ** power) / after_a_year
    return ((day - t0 + softening) ** power) / scale


def _matching(table, wanted):
    """The numbers of the rows with these values."""
    fits = np.ones(len(table), bool)
    for column, value in wanted.items():
        fits &= np.array([str(entry).strip().upper() == value for entry in table.field(column)])
    return fits.nonzero()[0]


def _agree(rows, table, column):
    """Tell whether a column that both have says the same in both."""
    both = all(column in (name.lower() for name in one.columns.names) for one in (rows, table))
    return not both or list(rows.field(column)) == list(table.field(column))
