"""Headers: what the telescope would have written about an exposure."""

import numpy as np

from gpucal.sample.configurations import Configuration
from gpucal.sample.pointing import DEC, RA, Pointing
from gpucal.sample.readout import Readout

START = 60310.25  # MJD of the first exposure
DATE, TIME = "2024-01-01", "06:00:00.000"  # the same
PAUSE = 60  # s between exposures
DAY = 86400  # s
PROGRAM, OBSERVATION, VISIT = "01234", "001", "001"


def product_name(configuration: Configuration, index, tag=None):
    """Return the name of an exposure's files, without suffix; index: zero-based number of the exposure."""
    name = f"jw{PROGRAM}{OBSERVATION}{VISIT}_021{index + 1:02d}_{index + 1:05d}_{configuration.detector.lower()}"
    return f"{name}_{tag}" if tag else name


def fill(model, configuration: Configuration, readout: Readout, pointing: Pointing, index, exposures, dithered):
    """Fill the metadata and the tables of a Level1bModel; index: zero-based number of the exposure, of `exposures`."""
    meta = model.meta
    start = START + index * (readout.exposure_time + PAUSE) / DAY
    meta.telescope = "JWST"
    meta.time_sys = "UTC"
    meta.bunit_data = "DN"
    _instrument(meta.instrument, configuration)
    _subarray(meta.subarray, configuration)
    _exposure(meta.exposure, configuration, readout, start)
    _program(meta, configuration, index)
    meta.dither.primary_type = "INTRAMODULE" if dithered else "NONE"
    meta.dither.position_number, meta.dither.total_points = index + 1, exposures
    _pointing(meta, configuration, pointing)
    model.int_times = _integration_times(model.get_dtype("int_times"), readout, start)
    model.group = _group_table(model.get_dtype("group"), configuration, readout)


def _instrument(instrument, configuration):
    instrument.name, instrument.detector = configuration.instrument, configuration.detector
    for word in ("channel", "module", "filter", "pupil", "grating"):
        value = getattr(configuration, word)
        if value is not None:
            setattr(instrument, word, value)
    if configuration.instrument == "NIRSPEC":
        instrument.gwa_xtilt, instrument.gwa_ytilt, instrument.lamp_mode = 0.35, 0.14, "NONE"
    if configuration.instrument == "NIRISS":
        instrument.filter_position = 354.2


def _subarray(subarray, configuration):
    subarray.name = configuration.subarray
    subarray.ystart, subarray.xstart = configuration.corner
    subarray.ysize, subarray.xsize = configuration.shape
    subarray.fastaxis, subarray.slowaxis = configuration.axes


def _exposure(exposure, configuration, readout, start):
    exposure.type, exposure.readpatt = configuration.exp_type, readout.readpatt
    exposure.nints, exposure.ngroups = readout.nints, readout.ngroups
    exposure.nframes, exposure.groupgap = readout.nframes, readout.groupgap
    exposure.integration_start, exposure.integration_end = 1, readout.nints
    exposure.frame_divisor = readout.frame_divisor
    exposure.nsamples, exposure.sample_time = 1, 10.0
    exposure.frame_time, exposure.group_time = readout.frame_time, readout.group_time
    exposure.integration_time = readout.integration_time
    exposure.exposure_time = exposure.effective_exposure_time = readout.exposure_time
    exposure.measurement_time = readout.group_time * (readout.ngroups - 1) * readout.nints
    exposure.duration = readout.exposure_time + readout.frame_time * readout.nints
    exposure.elapsed_exposure_time = exposure.duration
    exposure.noutputs = configuration.noutputs
    exposure.nresets_at_start = exposure.nresets_between_ints = 1
    exposure.drop_frames1 = exposure.drop_frames3 = 0
    exposure.zero_frame = readout.zeroframe
    exposure.data_problem = False
    exposure.prime_parallel, exposure.count = "PRIME", 4
    if configuration.irs2:
        exposure.nrs_normal, exposure.nrs_reference = 16, 4
    exposure.start_time, exposure.start_time_mjd = start, start
    exposure.mid_time = exposure.mid_time_mjd = start + readout.exposure_time / 2 / DAY
    exposure.end_time = exposure.end_time_mjd = start + readout.exposure_time / DAY


def _program(meta, configuration, index):
    observation = meta.observation
    observation.date, observation.time = DATE, TIME
    observation.date_beg, observation.date_end = f"{DATE}T{TIME}", f"{DATE}T07:00:00.000"
    observation.program_number, observation.observation_number = PROGRAM, OBSERVATION
    observation.visit_number, observation.visit_id = VISIT, PROGRAM + OBSERVATION + VISIT
    observation.visit_group, observation.sequence_id, observation.activity_id = "02", "1", f"{index + 1:02d}"
    observation.exposure_number = f"{index + 1:05d}"
    observation.obs_id = f"V{observation.visit_id}P0000000002{observation.sequence_id}{observation.activity_id}"
    meta.visit.type, meta.visit.tsovisit = "PRIME_TARGETED_FIXED", configuration.tso
    meta.target.catalog_name, meta.target.type, meta.target.source_type = "SIMULATED-FIELD", "FIXED", "EXTENDED"
    meta.target.ra, meta.target.dec = meta.guidestar.gs_ra, meta.guidestar.gs_dec = RA, DEC
    meta.program.pi_name, meta.program.category = "gpucal", "CAL"
    meta.aperture.name = f"{configuration.detector}_{configuration.subarray}"
    meta.velocity_aberration.scale_factor = 1.00003
    meta.ephemeris.reference_frame = "EME2000"


def _pointing(meta, configuration, pointing):
    wcs = meta.wcsinfo
    wcs.ra_ref, wcs.dec_ref, wcs.roll_ref = pointing.ra, pointing.dec, pointing.roll
    wcs.v2_ref, wcs.v3_ref = pointing.v2, pointing.v3
    wcs.vparity, wcs.v3yangle = configuration.parity, configuration.v3_angle
    wcs.crval1, wcs.crval2 = pointing.ra, pointing.dec
    (ny, nx), (ystart, xstart) = configuration.full_shape, configuration.corner
    wcs.crpix1, wcs.crpix2 = (nx + 1) / 2 - xstart + 1, (ny + 1) / 2 - ystart + 1
    wcs.cdelt1 = wcs.cdelt2 = configuration.pixel_scale / 3600
    wcs.ctype1, wcs.ctype2, wcs.cunit1, wcs.cunit2, wcs.wcsaxes = "RA---TAN", "DEC--TAN", "deg", "deg", 2
    wcs.pc1_1, wcs.pc1_2, wcs.pc2_1, wcs.pc2_2 = -1.0, 0.0, 0.0, 1.0
    meta.pointing.ra_v1, meta.pointing.dec_v1, meta.pointing.pa_v3 = pointing.ra, pointing.dec, pointing.roll


def _integration_times(dtype, readout, start):
    """Return the INT_TIMES table: number, then start, middle and end, on board and at the barycentre (the same)."""
    step = (readout.integration_time + readout.frame_time) / DAY
    times = [[start + (i + part) * step for part in (0, 0.5, 1)] for i in range(readout.nints)]
    return np.array([(i + 1, *time, *time) for i, time in enumerate(times)], dtype=dtype)


def _group_table(dtype, configuration, readout):
    """Return the GROUP table: one row for every group of every integration."""
    table = np.zeros(readout.nints * readout.ngroups, dtype)
    table["integration_number"] = np.repeat(np.arange(readout.nints) + 1, readout.ngroups)
    table["group_number"] = np.tile(np.arange(readout.ngroups) + 1, readout.nints)
    table["group_end_time"] = f"{DATE}T{TIME}"
    table["number_of_rows"], table["number_of_columns"] = configuration.shape
    table["completion_code_text"] = "COMPLETE"
    return table
