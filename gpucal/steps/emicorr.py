"""EMI: remove the electromagnetic interference that MIRI's electronics pick up, waves of a few known frequencies."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gpucal.emi import joint
from gpucal.emi.case import Case
from gpucal.emi.reference import write_reference
from gpucal.emi.sequential import Sequential
from gpucal.errors import InputError, Skip
from gpucal.reference.file import Reference
from gpucal.step import Step

log = logging.getLogger(__name__)
READPATTS = "FAST", "FASTR1", "SLOW", "SLOWR1"


@dataclass(frozen=True)
class Emicorr(Step):
    """Fit the waves to the ramps and subtract them from every group."""

    algorithm: Literal["sequential", "joint"] = "joint"  # fit the wave to the residuals of ramps, or together with them
    nints_to_phase: int | None = None  # sequential: integrations to look at
    nbins: int | None = None  # sequential: bins of a wave
    scale_reference: bool = True  # sequential: fit the reference wave's amplitude, not only its phase
    onthefly_corr_freq: list[float] | None = None  # Hz; correct these by the exposure itself, without a reference
    use_n_cycles: int | None = 3  # sequential: cycles to look at; null: all integrations
    fit_ints_separately: bool = False  # joint: every integration has an amplitude and a phase of its own
    user_supplied_reffile: str | None = None  # deprecated: use override_emicorr
    save_intermediate_results: bool = False  # write the waves found without a reference, as a reference
    skip: bool = True  # leave the exposure as it is

    def process(self, ramp, emicorr=None):
        """Correct in place, one frequency after the other."""
        if ramp.need("instrument.name") != "MIRI":
            raise Skip("only for MIRI")
        readpatt = ramp.need("exposure.readpatt").upper()
        if readpatt not in READPATTS:
            raise Skip(f"no correction for {readpatt}")
        place = ramp.need("subarray.name"), readpatt, ramp.need("instrument.detector")
        alone = self.onthefly_corr_freq is not None
        if alone or self.user_supplied_reffile:
            ramp.note_reference("emicorr", None)
        reference = None if alone else self._reference(ramp, emicorr)
        if ramp.shape[1] < 3:
            raise Skip("fewer than three groups")
        if alone:
            case = Case.without_reference(self.onthefly_corr_freq, *place[:2])
        else:
            case = Case.from_reference(reference, *place)
        if self.algorithm == "joint" and not alone:
            joint.remove(ramp, case, self.fit_ints_separately)
            return ramp
        found = Sequential(self.nints_to_phase, self.nbins, self.scale_reference, self.use_n_cycles).remove(ramp, case)
        if alone and self.save_intermediate_results:
            ramp.beside["emi_ref_waves.asdf"] = lambda path: write_reference(path, case, found, *place)
        return ramp

    def _reference(self, ramp, emicorr):
        """The reference of the run, or the deprecated parameter's."""
        if self.user_supplied_reffile:
            log.warning("%s: user_supplied_reffile is deprecated, use override_emicorr", ramp.source)
            path = Path(self.user_supplied_reffile).expanduser()
            if not path.is_file():
                raise InputError(f"user_supplied_reffile={path}: no such file")
            return Reference(path, "emicorr", None, None)
        if emicorr is None:
            raise Skip("no emicorr reference")
        return emicorr
