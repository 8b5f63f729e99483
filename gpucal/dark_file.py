"""Write the dark that was subtracted from an exposure as a dark reference file."""

from pathlib import Path

from gpucal.device import to_host
from gpucal.model.save import whole_file
from gpucal.warned import ignored


def write_dark(path, dark, data, nframes, groupgap):
    """Write data, (ngroups, ny, nx) or (nints, ngroups, ny, nx) DN, with a dark reference's flags and keywords.

    nframes, groupgap: of the data's groups. The file ends in .fits whatever the path does. OutputError if it cannot be.
    """
    from stdatamodels.jwst import datamodels

    path = Path(path).with_suffix(".fits")
    with ignored():
        kind = datamodels.DarkMIRIModel if data.ndim == 4 else datamodels.DarkModel
        model = kind(data=data, dq=to_host(dark.dq))
        with datamodels.open(str(dark.path)) as stored:
            model.update(stored)
        model.meta.exposure.nframes, model.meta.exposure.groupgap = nframes, groupgap
        model.meta.exposure.ngroups = data.shape[-3]
        model.on_save(str(path))
        with whole_file(path) as file:
            model.to_fits(file)
