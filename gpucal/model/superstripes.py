"""SuperstripeRamp: integrations that each read another stripe of the detector."""

from gpucal.device import array_module
from gpucal.model.ramp import Ramp


class SuperstripeRamp(Ramp):
    """An exposure whose integrations go from stripe to stripe, so that several of them make one image.

    The arrays are those of a Ramp, (nints * nstripes) integrations, but for pixeldq: (nstripes, ny, nx) uint32.
    """

    tree_class = "SuperstripeRampModel"
    readout = "superstripes"

    def __init__(self, tree, source="", **arrays):
        if arrays.get("pixeldq") is None:
            data = arrays["data"]
            nstripes = tree.meta.subarray.num_superstripe
            arrays["pixeldq"] = array_module(data).zeros((nstripes, *data.shape[2:]), "u4")
        super().__init__(tree, source, **arrays)

    @property
    def nstripes(self):
        """Stripes of an image."""
        return len(self.pixeldq)

    def stripe(self, which):
        """Return the integrations of one stripe as a Ramp; it may or may not share its memory with this one."""
        xp = array_module(self.data)
        mine = slice(which, None, self.nstripes)
        arrays = {
            name: xp.ascontiguousarray(array[mine])
            for name in ("data", "groupdq", "zeroframe")
            if (array := getattr(self, name)) is not None
        }
        return Ramp(self.tree, self.source, pixeldq=self.pixeldq[which], **arrays)

    def put(self, which, ramp):
        """Take over what became of the integrations of one stripe."""
        self.pixeldq[which] = ramp.pixeldq
        for name in ("data", "groupdq", "zeroframe"):
            if getattr(self, name) is not None:
                getattr(self, name)[which :: self.nstripes] = getattr(ramp, name)
