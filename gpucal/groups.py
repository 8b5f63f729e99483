"""Groups: questions about whole groups of a ramp."""

import numpy as np

from gpucal.device import to_host
from gpucal.dq import GROUP


def flagged_throughout(groupdq, flag):
    """Tell, for each integration and group, whether every pixel has one of the bits of flag: (nints, ngroups) bool."""
    nints, ngroups, ny, nx = groupdq.shape
    result = to_host(groupdq[:, :, ny // 2, nx // 2] & flag != 0).copy()  # one pixel spares looking at most groups
    for i, g in zip(*np.nonzero(result), strict=True):
        result[i, g] = bool((groupdq[i, g] & flag).all())
    return result


def unused_groups(ramp):
    """Tell, for each integration and group, whether every pixel of the exposure flags it DO_NOT_USE."""
    if ramp.whole is not None and ramp.whole.unused is not None:
        return ramp.whole.unused
    return flagged_throughout(ramp.groupdq, GROUP.DO_NOT_USE)
