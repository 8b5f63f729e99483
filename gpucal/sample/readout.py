"""When frames are read: the groups and integrations of an exposure, and the times between them."""

from dataclasses import dataclass

from gpucal.errors import ConfigError
from gpucal.sample.configurations import READPATT, Configuration


@dataclass(frozen=True)
class Readout:
    """The read pattern of one exposure."""

    readpatt: str
    nints: int
    ngroups: int
    nframes: int  # averaged in a group
    groupgap: int  # frames dropped between groups
    frame_time: float  # s
    frame_divisor: int  # what the sum of a group's frames was divided by, as the header has it
    zeroframe: bool  # whether the first frame of each integration is kept

    @classmethod
    def of(cls, configuration: Configuration, ngroups, nints, readpatt=None, frame_divisor=None, zeroframe="auto"):
        """Return the readout of a configuration; zeroframe is True, False or "auto": if its groups average frames."""
        readpatt = readpatt or configuration.readpatt
        if readpatt not in READPATT:
            raise ConfigError(f"read pattern {readpatt} is not one of {', '.join(READPATT)}")
        if ngroups < 1 or nints < 1:
            raise ConfigError(f"an exposure cannot have {nints} integrations of {ngroups} groups")
        nframes, groupgap = READPATT[readpatt]
        if zeroframe == "auto":
            zeroframe = configuration.zeroframe and nframes > 1
        divisor = nframes if frame_divisor is None else frame_divisor
        return cls(
            readpatt, nints, ngroups, nframes, groupgap, configuration.frame_time, divisor, bool(zeroframe)
        )  # fmt: skip

    @property
    def frames(self):
        """Frames of an integration, those dropped between groups included."""
        return self.ngroups * (self.nframes + self.groupgap) - self.groupgap

    @property
    def group_time(self):
        """Seconds from group to group."""
        return self.frame_time * (self.nframes + self.groupgap)

    @property
    def integration_time(self):
        """Seconds from the reset to the last frame."""
        return self.group_time * (self.ngroups - 1) + self.frame_time * self.nframes

    @property
    def exposure_time(self):
        """Seconds of all integrations, without the resets between them."""
        return self.integration_time * self.nints

    def reads(self):
        """Yield, for each frame of an integration that is kept: its group, its place there, the frames it collected.

        The last is a range of frame numbers: the frame itself and those dropped just before it.
        """
        collected = 0
        for group in range(self.ngroups):
            for place in range(self.nframes):
                frame = group * (self.nframes + self.groupgap) + place
                yield group, place, range(collected, frame + 1)
                collected = frame + 1
