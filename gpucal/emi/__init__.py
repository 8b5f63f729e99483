"""Electromagnetic interference (EMI) in MIRI's ramps: which waves there are, and two ways of fitting them."""
