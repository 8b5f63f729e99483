"""Parameter files of the official pipeline: what they say of which step, and which of them go first."""

import asdf
import pytest

from gpucal.errors import ReferenceFileError
from gpucal.reference import library, pars
from tests.crds_cache import MadeCache

# As stpipe writes them since 2021, and before.
PIPELINE = {
    "class": "jwst.pipeline.calwebb_detector1.Detector1Pipeline",
    "name": "Detector1Pipeline",
    "parameters": {"save_calibrated_ramp": True, "output_file": None, "input_dir": ""},
    "steps": [
        {"class": "jwst.ipc.ipc_step.IPCStep", "name": "ipc", "parameters": {"skip": True}},
        {"class": "jwst.jump.jump_step.JumpStep", "name": "jump", "parameters": {"rejection_threshold": 5.0}},
    ],
}
STEP = {
    "class": "jwst.jump.jump_step.JumpStep",
    "name": "JumpStep",
    "parameters": {"rejection_threshold": 3.0, "expand_large_events": True, "output_ext": ".fits"},
}
OLD = {
    "parameters": {
        "class": "jwst.pipeline.Detector1Pipeline",
        "name": "Detector1Pipeline",
        "save_calibrated_ramp": True,
        "steps": {"ipc": {"skip": True}, "jump": {"rejection_threshold": 5.0}},
    }
}
SAID = {"detector1": {"save_calibrated_ramp": True}, "ipc": {"skip": True}, "jump": {"rejection_threshold": 5.0}}


@pytest.fixture
def write(tmp_path):
    """Write a parameter file, with what a reference file says of itself; return its path."""

    def make(tree, name="pars.asdf", **meta):
        asdf.AsdfFile(tree | ({"meta": meta} if meta else {})).write_to(tmp_path / name)
        return tmp_path / name

    return make


@pytest.mark.parametrize("tree", [PIPELINE, OLD], ids=["new", "old"])
def test_a_pipelines_file_tells_of_its_steps(tree, write):
    assert pars.read(write(tree), "detector1") == SAID


def test_a_steps_file_tells_of_the_step_but_not_of_files(write):
    assert pars.read(write(STEP), "jump") == {"jump": {"rejection_threshold": 3.0, "expand_large_events": True}}


def test_texts_of_a_configobj_file_become_what_they_say(tmp_path):
    (tmp_path / "jump.cfg").write_text("name = 'jump'\nclass = 'JumpStep'\nmaximum_cores = none\nmin_jump_area = 7\n")
    (tmp_path / "pipeline.cfg").write_text(
        'name = "Detector1Pipeline"\nclass = "jwst.pipeline.Detector1Pipeline"\nsave_calibrated_ramp = True\n'
        "[steps]\n  [[jump]]\n    config_file = jump.cfg\n    rejection_threshold = 4.5  # sigma\n"
        "    min_jump_area = 8\n    post_hooks = one, 2\n  [[ipc]]\n    skip = True\n  [[gain_scale]]\n"
    )
    assert pars.read(tmp_path / "pipeline.cfg", "detector1") == {
        "detector1": {"save_calibrated_ramp": True},
        "jump": {"maximum_cores": None, "rejection_threshold": 4.5, "min_jump_area": 8, "post_hooks": ["one", 2]},
        "ipc": {"skip": True},
        "gain_scale": {},
    }


@pytest.mark.parametrize(
    ("name", "contents", "cause"),
    [
        ("a.asdf", "not ASDF", "is not a parameter file"),
        ("a.asdf", "#ASDF 1.0.0\n#ASDF_STANDARD 1.5.0\n%YAML 1.1\n--- {data: 1}\n...\n", "is not a parameter file"),
        ("a.cfg", "words without a sign\n", "is not a parameter file"),
        ("a.cfg", None, "not found"),
        ("a.asdf", None, "No such file"),
    ],
)
def test_what_is_no_parameter_file_is_one_line(name, contents, cause, tmp_path):
    if contents is not None:
        (tmp_path / name).write_text(contents)
    with pytest.raises(ReferenceFileError, match=cause) as caught:
        pars.read(tmp_path / name, "jump")
    assert str(caught.value).startswith(str(tmp_path / name))
    assert len(str(caught.value).splitlines()) == 1


def test_the_pipelines_file_goes_before_those_of_its_steps(write):
    paths = {"pars-jumpstep": write(STEP, "a.asdf"), "pars-detector1pipeline": write(PIPELINE, "b.asdf")}

    def read_best(reftype, name):
        return pars.read(paths[reftype], name) if reftype in paths else {}

    found = pars.collect(read_best, "detector1", ["ipc", "jump", "ramp_fit"])
    assert found == SAID | {"jump": {"rejection_threshold": 5.0, "expand_large_events": True}}


def test_types_are_called_after_the_official_classes():
    pipeline = pytest.importorskip("jwst.pipeline", reason="the official pipeline is not installed")
    for cls in vars(pipeline).values():
        for alias, step in getattr(cls, "step_defs", {}).items():
            assert pars.reftype(alias) == step.get_config_reftype()
    assert pars.reftype("detector1", "pipeline") == pipeline.Detector1Pipeline.get_config_reftype()


def test_files_that_stpipe_writes_are_read(tmp_path):
    pytest.importorskip("jwst.pipeline", reason="the official pipeline is not installed")
    from jwst.jump import JumpStep

    JumpStep(rejection_threshold=6.0).export_config(tmp_path / "jump.asdf")
    said = pars.read(tmp_path / "jump.asdf", "jump")["jump"]
    assert said["rejection_threshold"] == 6.0
    assert said["skip"] is False
    assert "output_file" not in said


# -- which file belongs to an exposure


def test_crds_recommends_by_its_rules(make_ramp, host, write, tmp_path, monkeypatch):
    pytest.importorskip("crds", reason="the CRDS client is not installed: pip install 'gpucal[crds]'")
    for name in ("CRDS_PATH", "CRDS_SERVER_URL", "CRDS_CONTEXT", "CRDS_OBSERVATORY", "CRDS_CLIENT_TIMEOUT_SECONDS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GPUCAL_CACHE", str(tmp_path / "gpucal"))
    made = MadeCache(tmp_path / "cache")
    step, pipeline = "jwst_nircam_pars-jumpstep_0001.asdf", "jwst_nircam_pars-detector1pipeline_0001.asdf"
    made.write_context(
        1,
        {
            "NIRCAM": {
                "pars-jumpstep": {"NRCA1|NRCA2": {"2020-01-01": step}},
                "pars-detector1pipeline": {"NRCA1": {"2020-01-01": pipeline}, "NRCA3": "N/A"},
                "pars-rampfitstep": "N/A",
            }
        },
    )
    made.add(step, write(STEP, "step.asdf"))
    made.add(pipeline, write(PIPELINE, "pipeline.asdf"))
    crds = library("crds", made.path)

    def said(detector):
        return crds.pars(make_ramp(host, [1], detector=detector), "detector1", ["ipc", "jump", "ramp_fit"])

    assert said("NRCA1") == SAID | {"jump": {"rejection_threshold": 5.0, "expand_large_events": True}}
    assert said("NRCA2") == {"jump": {"rejection_threshold": 3.0, "expand_large_events": True}}
    assert said("NRCA3") == {}
    made.locate(pipeline).unlink()
    with pytest.raises(ReferenceFileError, match=f"{pipeline}: not in the CRDS cache"):
        library("crds", made.path).pars(make_ramp(host, [1]), "detector1", [])


@pytest.mark.parametrize(
    ("exposure", "threshold"),
    [
        ({"exp_type": "NRC_IMAGE"}, 1.0),
        ({"exp_type": "NRC_WFSS"}, 2.0),
        ({"exp_type": "NRC_TSIMAGE"}, 2.0),
        ({"exp_type": "NRC_CORON"}, None),
        ({"instrument": "MIRI", "detector": "MIRIMAGE", "exp_type": "MIR_IMAGE"}, None),
    ],
)
def test_a_folder_recommends_by_instrument_and_kind_of_exposure(exposure, threshold, make_ramp, host, write, tmp_path):
    meta = {"reftype": "pars-jumpstep", "instrument": {"name": "NIRCAM"}, "useafter": "2020-01-01T00:00:00"}
    kinds = {"type": "NRC_IMAGE"}, {"p_exptype": "NRC_WFSS | NRC_TSIMAGE |"}
    for value, kind in enumerate(kinds, start=1):
        write({"parameters": {"rejection_threshold": float(value)}}, f"{value}.asdf", exposure=kind, **meta)
    found = library("folder", tmp_path).pars(make_ramp(host, [1], **exposure), "detector1", ["jump"])
    assert found == ({} if threshold is None else {"jump": {"rejection_threshold": threshold}})
