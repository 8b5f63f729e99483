"""Electromagnetic interference (EMI) in MIRI's ramps: when pixels are read, what waves there are, how they are fitted."""
