"""Export: write the parameters of a pipeline as a file that the official framework, stpipe, reads."""

from pathlib import Path

from gpucal import params
from gpucal.errors import ConfigError, OutputError
from gpucal.provenance import plain_parameters

# Official classes whose names are not the step's in capitals.
IRREGULAR = {
    "dq_init": "DQInitStep",
    "ipc": "IPCStep",
    "refpix": "RefPixStep",
    "emicorr": "EmiCorrStep",
    "lastframe": "LastFrameStep",
    "firstframe": "FirstFrameStep",
}
PIPELINES = {"detector1": "jwst.pipeline.calwebb_detector1.Detector1Pipeline"}
PIPELINES |= {
    "dark": "jwst.pipeline.calwebb_dark.DarkPipeline",
    "guider": "jwst.pipeline.calwebb_guider.GuiderPipeline",
}


def write_stpipe(pipeline, folder):
    """Write pars-<pipeline>pipeline.asdf, or pars-<step>step.asdf, into folder; return its path.

    Steps that the official pipeline lacks are left out. ConfigError if the pipeline is not one of the official ones.
    """
    import asdf

    steps = [_tree(step) for step in pipeline.steps if step.__module__.startswith("gpucal.")]
    if pipeline.name in PIPELINES:
        kind = PIPELINES[pipeline.name]
        tree = {"class": kind, "name": kind.rpartition(".")[2], "parameters": {}, "steps": steps}
        name = f"pars-{pipeline.name}pipeline.asdf"
    elif len(steps) == 1:
        tree, name = steps[0], f"pars-{steps[0]['name'].replace('_', '')}step.asdf"
    else:
        raise ConfigError(
            f"export=stpipe: {pipeline.name} is not one of the official pipelines: {', '.join(PIPELINES)}"
        )
    path = Path(folder) / name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        asdf.AsdfFile(tree).write_to(path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from error
    return path


def _tree(step):
    name = step.alias
    words = "".join(word.capitalize() for word in name.split("_"))
    kind = f"jwst.{name}.{name}_step.{IRREGULAR.get(name, f'{words}Step')}"
    parameters = plain_parameters(step)
    unset = [key for key in params.defaults(type(step)) if key.startswith("override_") and parameters[key] is None]
    return {"class": kind, "name": name, "parameters": {k: v for k, v in parameters.items() if k not in unset}}
