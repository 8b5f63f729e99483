"""Persistence: a window opens where a pixel is saturated or bright, and closes in time, also in the next exposure."""

import asdf
import numpy as np
import pytest

from gpucal.device import to_host
from gpucal.dq import GROUP
from gpucal.errors import InputError, OutputError
from gpucal.steps import Persistence

SAT, PERS, DNU = GROUP.SATURATED, GROUP.PERSISTENCE, GROUP.DO_NOT_USE
START = 60310.25  # MJD
SECONDS = (START - 40587) * 86400


@pytest.fixture
def exposure(ramp):
    """An exposure of 10 s groups whose integrations, of `ngroups`, follow each other without a pause."""

    def make(data, **options):
        ngroups = len(data) if isinstance(data, list) else data.shape[1]
        return ramp(data, start_time=START, integration_time=10.0 * ngroups, **options)

    return make


def flags(result):
    return to_host(result.groupdq)[:, :, 0, 0].tolist()


def run(exposure, **parameters):
    return Persistence(skip=False, **parameters).process(exposure)


def test_window_opens_with_saturation_and_closes_in_time(exposure):
    data = np.zeros((3, 4, 1, 1))
    saturated = np.zeros(data.shape)
    saturated[0, 1:] = SAT  # from 20 s on
    result = run(exposure(data, groupdq=saturated), persistence_time=45)
    assert flags(result) == [[0, SAT | PERS, SAT | PERS, SAT | PERS], [PERS, PERS, 0, 0], [0, 0, 0, 0]]


def test_group_at_the_very_end_of_a_window_is_within_it(exposure):
    result = run(exposure([0, 0, 0, 0], groupdq=[SAT, SAT, 0, 0]), persistence_time=20)
    assert flags(result) == [[SAT | PERS, SAT | PERS, PERS, 0]]


def test_lone_saturated_group_moves_its_window_along(exposure):
    """As in the official pipeline, which counts saturated groups, and takes one for the first of many."""
    result = run(exposure([0, 0, 0, 0], groupdq=[SAT, 0, 0, 0]), persistence_time=5)
    assert flags(result) == [[SAT | PERS, PERS, PERS, PERS]]


def test_count_above_the_threshold_opens_a_window_unless_one_is_open(exposure):
    result = run(exposure([0, 200, 200, 200, 0, 0, 0]), persistence_time=25, dn_threshold=100.0)
    assert flags(result) == [[0, PERS, PERS, PERS, 0, 0, 0]]  # opened at 20 s until 45 s; at 50 s nothing is bright
    assert flags(run(exposure([100, 0, 0]), persistence_time=25, dn_threshold=100.0)) == [[0, 0, 0]]


def test_flagged_groups_can_be_left_out(exposure):
    result = run(exposure([0, 0], groupdq=[SAT, SAT]), persistence_time=50, persistence_dnu=True)
    assert flags(result) == [[SAT | PERS | DNU] * 2]


def test_integrations_begin_when_the_table_says(exposure):
    data = np.zeros((2, 2, 1, 1))
    saturated = np.zeros(data.shape)
    saturated[0] = SAT
    paused = exposure(data, groupdq=saturated)
    table = np.zeros(2, paused.tree.get_dtype("int_times"))
    table["int_start_MJD_UTC"] = START, START + 1
    paused.tree.int_times = table
    assert flags(run(paused, persistence_time=1000)) == [[SAT | PERS] * 2, [0, 0]]
    assert flags(run(exposure(data, groupdq=saturated), persistence_time=1000)) == [[SAT | PERS] * 2, [PERS] * 2]


@pytest.mark.parametrize("time", [None, 0, -5])
def test_step_fails_without_a_time_and_the_exposure_goes_on(exposure, references, time):
    result, outcome = Persistence(skip=False, persistence_time=time).run(exposure([1, 2]), references())
    assert (outcome.status, outcome.reason) == ("FAILED", "needs persistence_time")
    assert result.meta.cal_step.persistence == "FAILED"


# -- from exposure to exposure


def test_open_windows_are_handed_on(exposure, tmp_path):
    path = tmp_path / "windows.asdf"
    data = np.zeros((1, 2, 1, 3))
    saturated = np.zeros(data.shape)
    saturated[0, :, 0, 1] = SAT
    run(exposure(data, groupdq=saturated), persistence_time=1000, save_persistence=str(path.with_suffix("")))
    following = run(exposure(data), persistence_time=1000, persistence_array_file=str(path))
    assert to_host(following.groupdq)[0, :, 0].tolist() == [[0, PERS, 0]] * 2


def test_file_is_the_official_pipelines_and_keeps_other_detectors(exposure, tmp_path):
    path = tmp_path / "windows.asdf"
    asdf.AsdfFile({"NRCB1": {"pers_time": 3}}).write_to(path)
    run(exposure([0, 0], groupdq=[SAT, SAT]), persistence_time=30, save_persistence=str(path))
    with asdf.open(path) as file:
        assert file["NRCB1"] == {"pers_time": 3}
        mine = file["NRCA1"]
        assert (list(mine["rows"]), list(mine["cols"]), list(mine["vals"])) == ([0], [0], [SECONDS + 10 + 30])
        assert (mine["pers_time"], mine["filename"]) == (30, None)


@pytest.mark.parametrize(("detector", "time"), [("NRCB1", 1000), ("NRCA1", 999)])
def test_windows_of_another_detector_or_duration_do_not_count(exposure, tmp_path, detector, time):
    path = tmp_path / "windows.asdf"
    windows = {"rows": np.array([0]), "cols": np.array([0]), "vals": np.array([SECONDS + 900]), "pers_time": time}
    asdf.AsdfFile({detector: windows}).write_to(path)
    assert flags(run(exposure([0, 0]), persistence_time=1000, persistence_array_file=str(path))) == [[0, 0]]


def test_window_that_ends_later_than_any_could_is_not_valid(exposure, tmp_path):
    path = tmp_path / "windows.asdf"
    windows = {"rows": np.array([0]), "cols": np.array([0]), "vals": np.array([SECONDS + 1e6]), "pers_time": 1000}
    asdf.AsdfFile({"NRCA1": windows}).write_to(path)
    assert flags(run(exposure([0, 0]), persistence_time=1000, persistence_array_file=str(path))) == [[0, 0]]


def test_file_that_is_not_there_is_no_windows(exposure, tmp_path):
    result = run(exposure([0, 0]), persistence_time=10, persistence_array_file=str(tmp_path / "nowhere.asdf"))
    assert flags(result) == [[0, 0]]


def test_file_that_is_none_is_refused(exposure, tmp_path):
    path = tmp_path / "windows.asdf"
    path.write_text("nothing")
    with pytest.raises(InputError, match="persistence_array_file="):
        run(exposure([0, 0]), persistence_time=10, persistence_array_file=str(path))
    with pytest.raises(OutputError, match="save_persistence="):
        run(exposure([0, 0]), persistence_time=10, save_persistence=str(path))


def test_backends_agree(make_ramp, rng, same_as_twins):
    data = rng.uniform(0, 3e4, (3, 6, 5, 7))
    groupdq = rng.choice([0, SAT], data.shape, p=[0.8, 0.2])

    def go(device):
        exposure = make_ramp(device, data, groupdq=groupdq, start_time=START, integration_time=60.0)
        return run(exposure, persistence_time=25, dn_threshold=2e4)

    same_as_twins(go)
