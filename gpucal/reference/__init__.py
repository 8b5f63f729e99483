"""Reference files: which one belongs to an exposure, and its arrays, cut to the exposure's window, on the device.

The source of a file is, in this order: `override.<type>=PATH`, then `reference=folder` or `reference=crds`.
"""

from gpucal.reference.file import Reference
from gpucal.reference.shelf import References, library

__all__ = ["Reference", "References", "library"]
