"""Flicker noise: what is common to a whole row (or column) of a group, found where nothing shines, and taken away.

`scene` says where nothing shines, `ordered` and `background` how bright nothing is, `stripes` and `fourier` what the
noise is; `automatic` chooses parameters. The steps clean_flicker_noise and picture_frame put them together.
"""
