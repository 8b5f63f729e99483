"""Drizzling: images that are shifted, turned and distorted against each other become one, on a grid of their own.

`Mosaic` is the output. `section` tells which input pixels are used, `shapes` how a pixel spreads, `adding` adds.
"""

from gpucal.drizzle.mosaic import Mosaic as Mosaic
