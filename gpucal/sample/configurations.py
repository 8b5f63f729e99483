"""The seventeen ways of observing that can be simulated: instrument, detector, optics, window and readout.

Values are representative of the real instruments, not copies of the calibration reference system's.
"""

from dataclasses import dataclass, replace

from gpucal.errors import ConfigError

# Read pattern -> (frames averaged in a group, frames dropped between groups).
READPATT = {
    "RAPID": (1, 0),
    "BRIGHT1": (1, 1),
    "BRIGHT2": (2, 0),
    "SHALLOW2": (2, 3),
    "SHALLOW4": (4, 1),
    "MEDIUM2": (2, 8),
    "MEDIUM8": (8, 2),
    "DEEP8": (8, 12),
    "NIS": (4, 0),
    "NISRAPID": (1, 0),
    "NRS": (4, 0),
    "NRSRAPID": (1, 0),
    "NRSIRS2": (5, 0),
    "NRSIRS2RAPID": (1, 0),
    "FASTR1": (1, 0),
    "SLOWR1": (1, 0),
    "FAST": (1, 0),
    "FGS": (4, 0),
    "FGSRAPID": (1, 0),
}


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """One detector behind one filter, read out in one window with one read pattern."""

    instrument: str
    detector: str
    exp_type: str
    readpatt: str
    frame_time: float  # s
    axes: tuple[int, int]  # FASTAXIS, SLOWAXIS
    pixel_scale: float  # arcsec
    v2: float  # arcsec; the reference point, the detector's centre, in the telescope's frame
    v3: float  # arcsec
    v3_angle: float  # degrees from V3 to the y axis
    parity: int = -1  # VPARITY
    filter: str | None = None
    pupil: str | None = None
    grating: str | None = None
    channel: str | None = None
    module: str | None = None
    subarray: str = "FULL"
    corner: tuple[int, int] = (1, 1)  # ystart, xstart
    shape: tuple[int, int] = (2048, 2048)  # ysize, xsize
    noutputs: int = 4
    irs2: bool = False  # NIRSpec's readout with interleaved reference pixels
    tso: bool = False  # time series
    zeroframe: bool = False  # whether the first frame is kept where groups average several

    @property
    def miri(self):
        """Whether this is the mid-infrared detector."""
        return self.instrument == "MIRI"

    @property
    def full_shape(self):
        """(rows, columns) of the whole detector in science orientation."""
        return (1024, 1032) if self.miri else (2048, 2048)

    @property
    def is_full(self):
        """Whether the whole detector is read."""
        return self.shape == self.full_shape

    @property
    def window(self):
        """The (y, x) slices of the whole detector that are read, in science orientation."""
        return tuple(slice(start - 1, start - 1 + size) for start, size in zip(self.corner, self.shape, strict=True))

    @property
    def brightness(self):
        """How much brighter its sky is than a full frame's, so that its short frames hold as much charge."""
        return 1.0 if self.is_full else (2.77504 if self.miri else 10.73677) / self.frame_time


_nrca1 = Configuration(
    instrument="NIRCAM", detector="NRCA1", module="A", channel="SHORT", filter="F200W", pupil="CLEAR",
    exp_type="NRC_IMAGE", readpatt="RAPID", frame_time=10.73677, axes=(-1, 2), pixel_scale=0.0311,
    v2=120.6714, v3=-527.3877, v3_angle=-0.5648,
)  # fmt: skip
_nrcb1 = replace(
    _nrca1, detector="NRCB1", module="B", filter="F150W", axes=(1, -2), v2=-120.6714, v3_angle=0.6, noutputs=1
)
_nis = Configuration(
    instrument="NIRISS", detector="NIS", filter="CLEAR", pupil="F150W", exp_type="NIS_IMAGE", readpatt="NISRAPID",
    frame_time=10.73677, axes=(-2, -1), pixel_scale=0.0656, v2=-290.1, v3=-697.5, v3_angle=-0.57,
)  # fmt: skip
_nrs1 = Configuration(
    instrument="NIRSPEC", detector="NRS1", filter="F140X", grating="MIRROR", exp_type="NRS_IMAGE", readpatt="NRSRAPID",
    frame_time=10.73677, axes=(2, 1), pixel_scale=0.104, v2=378.77, v3=-428.16, v3_angle=138.5,
)  # fmt: skip
_nrs1_irs2 = replace(_nrs1, readpatt="NRSIRS2RAPID", frame_time=14.58889, noutputs=5, irs2=True)
_mir = Configuration(
    instrument="MIRI", detector="MIRIMAGE", filter="F770W", exp_type="MIR_IMAGE", readpatt="FASTR1",
    frame_time=2.77504, axes=(1, 2), pixel_scale=0.1108, v2=-453.559, v3=-373.814, v3_angle=4.8345,
    shape=(1024, 1032),
)  # fmt: skip

CONFIGURATIONS = {
    # Four amplifiers, groups that average several frames, a zero frame.
    "nrc_full": replace(_nrca1, readpatt="SHALLOW4", zeroframe=True),
    # The same detector, one frame in a group.
    "nrc_full_rapid": _nrca1,
    # The long-wave channel, averaged frames, a zero frame.
    "nrcblong_full": replace(
        _nrcb1, detector="NRCBLONG", channel="LONG", filter="F444W", readpatt="BRIGHT2", pixel_scale=0.063,
        v2=-89.3892, v3=-491.4440, v3_angle=0.1, noutputs=4, zeroframe=True,
    ),
    # One output, in a corner: reference pixels at the right and at the bottom.
    "nrc_sub160": replace(_nrcb1, subarray="SUB160", corner=(1, 1889), shape=(160, 160), frame_time=0.27864),
    # One output, a time series without any reference pixel.
    "nrc_sub64p": replace(
        _nrcb1, exp_type="NRC_TSIMAGE", subarray="SUB64P", corner=(900, 1000), shape=(64, 64), frame_time=0.05016,
        tso=True,
    ),
    # A window with four outputs: reference pixels at both sides and at the bottom.
    "nrc_subgrism256": replace(
        _nrca1, detector="NRCALONG", channel="LONG", filter="F322W2", pupil="GRISMR", exp_type="NRC_TSGRISM",
        subarray="SUBGRISM256", shape=(256, 2048), frame_time=1.3467, readpatt="BRIGHT1", pixel_scale=0.063,
        v2=86.1035, v3=-493.2275, v3_angle=-0.1, tso=True,
    ),
    # The fast direction is y.
    "nis_full": _nis,
    # One output, at the upper edge.
    "nis_sub64": replace(
        _nis, subarray="SUB64", corner=(1985, 900), shape=(64, 64), noutputs=1, frame_time=0.05016
    ),
    "nrs_full": _nrs1,
    # One output, reference pixels at the left and at the right.
    "nrs_allslits": replace(
        _nrs1, exp_type="NRS_FIXEDSLIT", subarray="ALLSLITS", corner=(897, 1), shape=(256, 2048), noutputs=1,
        frame_time=5.49132,
    ),
    # One output, no reference pixels: the outermost columns serve as such.
    "nrs_sub512": replace(
        _nrs1, exp_type="NRS_BRIGHTOBJ", subarray="SUB512", corner=(1002, 1041), shape=(32, 512), noutputs=1,
        frame_time=0.22556,
    ),
    # Reference pixels interleaved with the normal ones: 3200 rows in the file.
    "nrs_irs2": _nrs1_irs2,
    "nrs2_irs2": replace(_nrs1_irs2, detector="NRS2", axes=(-2, -1), readpatt="NRSIRS2"),
    # Four amplifiers that take turns column by column.
    "mir_full": _mir,
    "mir_sub64": replace(_mir, subarray="SUB64", corner=(779, 1), shape=(64, 72), frame_time=0.08512),
    "mir_brightsky": replace(_mir, subarray="BRIGHTSKY", corner=(51, 457), shape=(512, 512), frame_time=0.86528),
    # No filter.
    "fgs_full": Configuration(
        instrument="FGS", detector="GUIDER1", exp_type="FGS_IMAGE", readpatt="FGSRAPID", frame_time=10.73677,
        axes=(-2, -1), pixel_scale=0.069, v2=207.19, v3=-697.5, v3_angle=-1.25,
    ),
}  # fmt: skip


def configured(name):
    """Return the configuration of a name; ConfigError if there is none."""
    if name not in CONFIGURATIONS:
        raise ConfigError(f"configuration {name} is not one of {', '.join(CONFIGURATIONS)}")
    return CONFIGURATIONS[name]
