"""Read exposures: metadata through stdatamodels, pixels raw, so that reading and decoding can be apart in time."""

import builtins
import io
import logging
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from gpucal.device import Device
from gpucal.errors import InputError
from gpucal.model.base import Model
from gpucal.model.guider import EXP_TYPES, GuiderRamp, GuiderRate
from gpucal.model.image import Cube, Image, Slopes
from gpucal.model.official import KINDS, Opaque, taken
from gpucal.model.pixels import Pixels, decode
from gpucal.model.ramp import Ramp
from gpucal.model.superstripes import SuperstripeRamp
from gpucal.warned import ignored, logged

log = logging.getLogger(__name__)
DIMENSIONS = {2: Image, 3: Cube, 4: Ramp}
GUIDER_DIMENSIONS = {3: GuiderRate, 4: GuiderRamp}


@dataclass
class Packed:
    """A model off the device: its class, its metadata, and its arrays as they lie in a file.

    arrays maps an attribute to (stored words or native numbers on the host, dtype, is stored big-endian).
    """

    kind: type[Model]
    tree: Any
    source: str
    arrays: dict[str, tuple[np.ndarray, np.dtype, bool]] = field(default_factory=dict)

    @property
    def meta(self):
        """The metadata tree."""
        return self.tree.meta

    def unpack(self, device: Device) -> Model:
        """Return the model on the device, its pixels decoded there; on a CPU in the packed memory, so only once."""
        arrays = {}
        for name, (stored, dtype, big_endian) in self.arrays.items():
            array = device.upload(stored)
            arrays[name] = decode(array, dtype) if big_endian else array
        return self.kind(self.tree, self.source, **arrays)


def open(source, device=None):
    """Return the exposure in a FITS or ASDF file, or in a stdatamodels model, as a model on the device."""
    from gpucal.device import choose

    if isinstance(source, Model | Slopes):
        return source
    return read(source).unpack(device or choose())


def read(source, buffer=None, integrations=None):
    """Read an exposure into host memory without decoding it; InputError names the file and the cause.

    integrations: (first, count) of a ramp in a FITS file, None for all.
    buffer: allocates the bytes of an array, (nbytes) -> uint8 array; pinned memory for a GPU.
    """
    if hasattr(source, "to_flat_dict"):
        return _from_datamodel(source, getattr(source.meta, "filename", None) or "model in memory")
    path = Path(source)
    if path.suffix == ".asdf":
        return _read_asdf(path)
    if path.suffix == ".gz":
        raise InputError(f"{path}: compressed, unpack it first")
    try:
        return _read_fits(path, buffer, integrations)
    except OSError as error:
        raise InputError(f"{path}: {reason(error, path)}") from error


def extensions(path):
    """Return the headers of a FITS file and where its image pixels lie: ({name: header}, {name: Pixels}, HDUList).

    The list holds what is not pixels: the primary header, the SCI header without its data, and the tables.
    Source: FITS standard 4.0. InputError if the file is not FITS or ends early.
    """
    from astropy.io import fits

    size = path.stat().st_size
    headers, pixels, rest = {}, {}, fits.HDUList()
    # Ignored: what is said of a truncated file is said below, once and by name.
    # Without memory mapping only what is asked for is read: the tables.
    with ignored(), fits.open(path, memmap=False, lazy_load_hdus=False) as hdus:
        for hdu in hdus:
            place = hdu.fileinfo()
            name = hdu.name or "PRIMARY"
            if place["datLoc"] + hdu.size > size:
                raise InputError(f"{path}: truncated, {name} ends {place['datLoc'] + hdu.size - size} bytes later")
            headers[name] = hdu.header
            if isinstance(hdu, fits.ImageHDU) and hdu.header["NAXIS"]:
                pixels[name] = Pixels(path, name, place["datLoc"], _shape(hdu.header), _dtype(hdu.header, path))
                bare = fits.ImageHDU(name=name)
                bare.header.extend(hdu.header.copy(strip=True))
                rest.append(bare)
            elif isinstance(hdu, fits.PrimaryHDU):
                rest.append(fits.PrimaryHDU(header=hdu.header))
            elif isinstance(hdu, fits.BinTableHDU) and name != "ASDF" and hdu.data is not None:
                rest.append(hdu)
    if size % 2880:
        raise InputError(f"{path}: truncated within its headers")
    return headers, pixels, rest


def ramp_shape(path):
    """Return the (nints, ngroups, ny, nx) of an ordinary ramp in a FITS file, None of anything else."""
    try:
        headers, pixels, _ = extensions(Path(path))
    except (OSError, InputError):
        return None  # what is wrong with the file is said when it is read
    shape = pixels["SCI"].shape if "SCI" in pixels else ()
    words = headers["PRIMARY"]
    return shape if kind_of(len(shape), words.get("EXP_TYPE"), words.get("SSTR_NST")) is Ramp else None


def _read_fits(path, buffer, integrations=None):
    headers, pixels, rest = extensions(path)
    if "S_WCS" in headers["PRIMARY"]:
        return _read_stage2(path)
    if reftype := headers["PRIMARY"].get("REFTYPE"):
        raise InputError(f"{path}: is a reference file ({reftype}), not an exposure")
    if "SCI" not in pixels:
        raise InputError(f"{path}: no SCI extension with pixels")
    ndim, exp_type = len(pixels["SCI"].shape), headers["PRIMARY"].get("EXP_TYPE")
    kind = kind_of(ndim, exp_type, headers["PRIMARY"].get("SSTR_NST"))
    if kind is None:
        expected = f"4 (counts) or 3 (rates) for {exp_type}" if exp_type in EXP_TYPES else "4 (ramp), 3 or 2 (rates)"
        raise InputError(f"{path}: SCI has {ndim} dimensions, expected {expected}")
    if not pixels["SCI"].nbytes:
        raise InputError(f"{path}: SCI holds no pixels, its shape is {pixels['SCI'].shape}")
    packed = Packed(kind, _tree(kind, rest, path), str(path))
    for name, extension in kind.arrays.items():
        if extension in pixels:
            place = pixels[extension]
            if place.nbytes:
                packed.arrays[name] = (_some(place, integrations, buffer), place.dtype, True)
    if kind is Ramp and "ASDF" in headers:
        packed.tree.meta.exposure.read_times = _read_times(path)
    _check(packed)
    return packed


def _some(place, integrations, buffer):
    """Read the pixels of an extension, of those with integrations only some if so many are asked for."""
    if integrations is None or len(place.shape) == 2:
        return place.read(buffer=buffer).reshape(place.shape)
    each = math.prod(place.shape[1:-2])
    first, count = integrations
    return place.read(first * each, count * each, buffer=buffer).reshape(count, *place.shape[1:])


def _read_times(path):
    """Return the times of the reads of each group, which have no keyword; None if there are none, as is usual."""
    import asdf
    from astropy.io import fits

    with ignored(), fits.open(path, memmap=False) as hdus:
        content = hdus["ASDF"].data.tobytes()
    if b"read_times" not in content:
        return None
    exposure = asdf.util.load_yaml(io.BytesIO(content))["meta"]["exposure"]
    return [[float(time) for time in group] for group in exposure.get("read_times") or []]


def _read_asdf(path):
    import asdf

    try:
        with asdf.open(path, memmap=False, lazy_load=False) as file:
            meta = file.tree.get("meta", {})
            if meta.get("cal_step", {}).get("assign_wcs"):
                return _read_stage2(path)
            exp_type, nstripes = meta.get("exposure", {}).get("type"), meta.get("subarray", {}).get("num_superstripe")
            kind = kind_of(np.ndim(file.tree.get("data")), exp_type, nstripes)
            if kind is None:
                raise InputError(f"{path}: no array named data with 2, 3 or 4 dimensions")
        with logged(path.name, log):
            tree = _tree_class(kind)(str(path))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: {reason(error, path)}") from error
    return _from_datamodel(tree, path)


def _read_stage2(path):
    from stdatamodels.jwst import datamodels

    try:
        with logged(path.name, log):
            tree = datamodels.open(str(path))
    except ValueError as error:
        raise InputError(f"{path}: {reason(error, path)}") from error
    return _stage2(tree, path)


def _stage2(tree, source):
    """Pack a model that has a WCS: more than gpucal's arrays is in it, so all the rest stays in its own tree."""
    kind = KINDS.get(type(tree).__name__)
    if kind is None:
        return Packed(Opaque, tree, str(source))
    packed = Packed(kind, tree, str(source))
    packed.arrays = {name: (array, array.dtype, False) for name, array in taken(tree, kind.arrays).items()}
    _check(packed)
    return packed


def _from_datamodel(tree, source):
    steps = getattr(tree.meta, "cal_step", None)
    if getattr(steps, "assign_wcs", None) is not None:
        return _stage2(tree.copy(), source)
    kind = kind_of(np.ndim(tree.data), tree.meta.exposure.type, tree.meta.subarray.num_superstripe)
    if kind is None:
        raise InputError(f"{source}: the model's data has {np.ndim(tree.data)} dimensions, expected 2, 3 or 4")
    bare = _tree_class(kind)()
    bare.update(tree)
    if issubclass(kind, Ramp) and tree.meta.exposure.read_times:
        bare.meta.exposure.read_times = [list(times) for times in tree.meta.exposure.read_times]
    for table in kind.tables:
        if tree.hasattr(table) and table in bare.schema["properties"]:
            setattr(bare, table, getattr(tree, table))
    packed = Packed(kind, bare, str(source))
    for name in kind.arrays:
        array = getattr(tree, name, None) if tree.hasattr(name) else None
        if array is not None and array.size:
            dtype = np.dtype("f4") if array.dtype.kind in "fu" and name in ("data", "zeroframe") else array.dtype
            dtype = dtype.newbyteorder("=")
            packed.arrays[name] = (np.array(array, dtype, order="C"), dtype, False)
    _check(packed)
    return packed


def kind_of(ndim, exp_type, nstripes):
    """Return the class of model for data of so many dimensions, or None."""
    if ndim == 4 and nstripes:
        return SuperstripeRamp
    return (GUIDER_DIMENSIONS if exp_type in EXP_TYPES else DIMENSIONS).get(ndim)


def _tree(kind, hdus, path):
    with logged(path.name, log):
        tree = _tree_class(kind)(hdus)
    tree.meta.filename = path.name
    return tree


def _tree_class(kind):
    from stdatamodels.jwst import datamodels

    return getattr(datamodels, kind.tree_class)


def _check(packed):
    """Refuse arrays of the wrong type or of shapes that do not fit each other or the header."""
    expected = {"dq": "u4", "pixeldq": "u4", "groupdq": "u1"}
    shape = packed.arrays["data"][0].shape
    for name, (array, dtype, _) in packed.arrays.items():
        wanted = expected.get(name, "f4")
        counts = name in ("data", "zeroframe") and dtype == np.uint16
        if not counts and dtype != np.dtype(wanted):
            raise InputError(f"{packed.source}: {packed.kind.arrays[name]} is {dtype}, expected {np.dtype(wanted)}")
        lost = {"zeroframe": (shape[0], *shape[2:]), "pixeldq": shape[2:], "average_dark_current": shape[2:]}
        lost["area"] = shape[-2:]
        if packed.kind is SuperstripeRamp:
            nstripes = packed.tree.meta.subarray.num_superstripe
            lost["pixeldq"] = (nstripes, *shape[2:])
        if packed.kind.readout == "guider":
            lost["dq"] = shape[-2:]
        if array.shape != lost.get(name, shape):
            raise InputError(
                f"{packed.source}: {packed.kind.arrays[name]} has shape {array.shape}, expected {lost.get(name, shape)}"
            )
    if issubclass(packed.kind, Ramp):
        stated = packed.tree.meta.exposure.ngroups
        if stated is not None and stated != shape[1]:
            raise InputError(f"{packed.source}: NGROUPS is {stated}, but SCI holds {shape[1]} groups")


def _shape(header):
    return tuple(header[f"NAXIS{axis}"] for axis in range(header["NAXIS"], 0, -1))


def _dtype(header, path):
    bitpix, zero, scale = header["BITPIX"], header.get("BZERO", 0), header.get("BSCALE", 1)
    kinds = {
        (8, 0): "u1",
        (16, 32768): "u2",
        (32, 2**31): "u4",
        (-32, 0): "f4",
        (-64, 0): "f8",
        (16, 0): "i2",
        (32, 0): "i4",
    }
    if scale != 1 or (bitpix, zero) not in kinds:
        raise InputError(f"{path}: {header.get('EXTNAME')} has BITPIX {bitpix}, BZERO {zero}, BSCALE {scale}: unknown")
    return np.dtype(kinds[bitpix, zero])


def reason(error, path):
    """Say in a few words why a file cannot be read, without its path and without advice for programmers."""
    text = getattr(error, "strerror", None) or str(error)
    if "SIMPLE" in text or "Empty or corrupt FITS" in text or "Header missing END" in text or "2880" in text:
        with builtins.open(path, "rb") as file:
            return "truncated within its headers" if file.read(9) == b"SIMPLE  =" else "not a FITS file"
    return text.splitlines()[0]
