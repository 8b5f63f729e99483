"""Where the telescope looks: the rotation between the telescope's frame (V2, V3) and the sky."""

from dataclasses import dataclass

import numpy as np

from gpucal.sample.configurations import Configuration

RA, DEC, ROLL = 80.4875, -69.4975, 35.0  # degrees; the field that all exposures look at
ARCSEC = 3600  # in a degree


@dataclass(frozen=True)
class Pointing:
    """The sky position, and the angle of V3, at the reference point of a detector."""

    v2: float  # arcsec
    v3: float  # arcsec
    ra: float = RA  # degrees
    dec: float = DEC  # degrees
    roll: float = ROLL  # degrees from north to V3, through east

    @classmethod
    def of(cls, configuration: Configuration, east=0.0, north=0.0, roll=0.0):
        """Return the pointing of a detector at the field, moved by arcsec on the sky and turned by degrees."""
        ra, dec = sky_offset(east, north)
        return cls(configuration.v2, configuration.v3, float(ra), float(dec), ROLL + roll)

    def sky(self, v2, v3):
        """Return right ascension and declination, degrees, of positions in the telescope's frame, arcsec."""
        ra, dec = _angles(self._rotation @ _direction(np.divide(v2, ARCSEC), np.divide(v3, ARCSEC)))
        return ra % 360, dec

    def telescope(self, ra, dec):
        """Return V2 and V3, arcsec, of positions on the sky, degrees: the inverse of `sky`."""
        v2, v3 = _angles(self._rotation.T @ _direction(ra, dec))
        return v2 * ARCSEC, v3 * ARCSEC

    @property
    def _rotation(self):
        """Turn the reference point to the x axis, then by the roll, then to its place on the sky."""
        turns = zip("zyxyz", (self.v2 / ARCSEC, -self.v3 / ARCSEC, self.roll, self.dec, -self.ra), strict=True)
        rotation = np.eye(3)
        for axis, angle in turns:
            rotation = _turn(axis, angle) @ rotation
        return rotation


def sky_offset(east, north):
    """Return right ascension and declination, degrees, of offsets in arcsec from the middle of the field."""
    return (RA + np.divide(east, ARCSEC * np.cos(np.deg2rad(DEC)))) % 360, DEC + np.divide(north, ARCSEC)


def _turn(axis, angle):
    """Return the matrix that turns the coordinate axes about one of them, by degrees."""
    c, s = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    if axis == "x":
        return np.array([[1, 0, 0], [0, c, s], [0, -s, c]])
    if axis == "y":
        return np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]])
    return np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])


def _direction(longitude, latitude):
    longitude, latitude = np.deg2rad(longitude), np.deg2rad(latitude)
    return np.array(
        [np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)]
    )  # fmt: skip


def _angles(direction):
    x, y, z = direction
    return np.rad2deg(np.arctan2(y, x)), np.rad2deg(np.arctan2(z, np.hypot(x, y)))
