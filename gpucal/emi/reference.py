"""Write the waves that an exposure has shown as a reference file, in the official pipeline's format."""

import datetime

from gpucal.model.save import whole_file


def write_reference(path, case, amplitudes, subarray, readpatt, detector):
    """Write an ASDF file of the waves of a case; amplitudes: of each, one period. OutputError if it cannot be."""
    from stdatamodels.jwst.datamodels import EmiModel

    names = [wave.name for wave in case.waves]
    model = EmiModel()
    model.frequencies = {
        wave.name: {"frequency": wave.frequency, "phase_amplitudes": shown}
        for wave, shown in zip(case.waves, amplitudes, strict=True)
    }
    model.subarray_cases = {
        subarray: {
            "rowclocks": case.rowclocks,
            "frameclocks": case.frameclocks,
            "freqs": {readpatt: names if "FAST" in readpatt else {detector: names}},
        }
    }
    meta = model.meta
    meta.author, meta.description, meta.pedigree = "gpucal", "EMI correction, found in an exposure", "GROUND"
    meta.useafter = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S")
    model.on_save(str(path))
    with whole_file(path) as file:
        model.to_asdf(file)
