"""Steps of the official kind that a user may bring along."""

import numpy as np
from jwst.stpipe import Step
from stdatamodels.jwst import datamodels


class CutSlits(Step):
    """Give several slits: a model that gpucal has no kind for."""

    spec = """
        count = integer(default=2, min=1)  # slits to cut
    """

    def process(self, image):
        """Cut them from the top of an image."""
        slits = datamodels.MultiSlitModel()
        slits.update(image)
        for number in range(self.count):
            slit = datamodels.SlitModel(data=image.data[number : number + 4].copy())
            slit.name = str(number)
            slits.slits.append(slit)
        slits.meta.cal_step.extract_2d = "COMPLETE"
        if self.count > 5:
            self.save_model(slits, "many", force=True)
        return slits


class SeveralImages(Step):
    """Give a list of models."""

    def process(self, image):
        """Twice the same."""
        return [datamodels.SlitModel(data=np.full((2, 3), value, "f4")) for value in (1, 2)]


def double(model):
    """Hook: twice the counts."""
    model.data *= 2
    return model
