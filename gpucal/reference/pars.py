"""Parameter files of the official pipeline: what CRDS recommends for a step (pars-*), and older .cfg files."""

from pathlib import Path

from gpucal.errors import ReferenceFileError
from gpucal.step import STEPS
from gpucal.warned import ignored

# What lies among the parameters without being one of a correction: names, and files, which are gpucal's own affair.
OTHERS = {"class", "name", "steps", "config_file"}
OTHERS |= {"output_file", "output_dir", "output_ext", "output_use_model", "output_use_index"}
OTHERS |= {"input_dir", "search_output_file", "suffix"}

# Steps whose files are called after the official class, which is not called after the step.
CLASSES = {"bkg_subtract": "background", "imprint_subtract": "imprint", "srctype": "sourcetype"}
CLASSES |= {"msa_flagging": "msaflagopen"}


def reftype(name, kind="step"):
    """Return the type of the parameter files of a step, or of a pipeline: jump, pars-jumpstep."""
    return f"pars-{CLASSES.get(name, name).replace('_', '')}{kind}"


def collect(read_best, pipeline, aliases):
    """Return {name: {parameter: value}} of a pipeline and its steps; read_best(reftype, name) reads a file, or is {}.

    What the pipeline's own file says of a step goes before the step's, as in the official pipeline.
    """
    found: dict[str, dict] = {}
    for name, kind in [*((alias, "step") for alias in aliases), (pipeline, "pipeline")]:
        for owner, parameters in read_best(reftype(name, kind), name).items():
            found[owner] = found.get(owner, {}) | parameters
    return {owner: parameters for owner, parameters in found.items() if parameters}


def read(path, name=None):
    """Return {name: {parameter: value}} of a parameter file.

    The parameters of the file's own step or pipeline are under `name`, by default the one that the file says, and those
    of a pipeline's steps under their aliases. ASDF files of stpipe, old and new, and ConfigObj files (.cfg).
    ReferenceFileError if it is neither.
    """
    path = Path(path)
    try:
        own = _asdf(path) if path.suffix == ".asdf" else _configobj(path)
        return _by_owner(own, name or owner(own["class"]), path.parent)
    except OSError as error:
        raise ReferenceFileError(f"{path}: {error.strerror or error}") from error
    except (ValueError, TypeError, AttributeError, KeyError, SyntaxError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ReferenceFileError(f"{path}: is not a parameter file: {reason}") from error


def owner(kind):
    """Return the name of a step or pipeline by that of its official class: jump of jwst.jump.jump_step.JumpStep."""
    word = kind.rpartition(".")[2].lower().removesuffix("step").removesuffix("pipeline")
    names = {stem: name for name, stem in CLASSES.items()} | {name.replace("_", ""): name for name in STEPS}
    return names.get(word, word)


def _by_owner(own, name, folder):
    found = {name: {word: value for word, value in own.items() if word not in OTHERS}}
    for alias, step in (own.get("steps") or {}).items():
        if file := step.get("config_file"):
            found |= read(folder / file, alias)
        for owner, parameters in _by_owner(step, alias, folder).items():
            found[owner] = found.get(owner, {}) | parameters
    return found


def _asdf(path):
    """Return the parameters of an ASDF file, those of its steps under "steps"; before 2021 they all lay together."""
    import asdf

    with ignored():
        return _nested(asdf.util.load_yaml(path))  # the text alone: no arrays, no objects


def _nested(tree):
    own = {**tree["parameters"], "class": tree.get("class")}
    if tree.get("steps"):
        own["steps"] = {step["name"]: _nested(step) for step in tree["steps"]}
    return own


def _configobj(path):
    from astropy.extern.configobj.configobj import ConfigObj, ConfigObjError

    try:
        contents = ConfigObj(str(path), raise_errors=True, file_error=True)
    except ConfigObjError as error:
        raise ValueError(str(error)) from error
    contents.walk(_convert)
    return contents.dict()


def _convert(section, key):
    """Replace a text of a ConfigObj file, or a list of texts, by what it says."""
    value = section[key]
    section[key] = [_value(item) for item in value] if isinstance(value, list) else _value(value)


def _value(text):
    words = {"true": True, "false": False, "none": None}
    if text.lower() in words:
        return words[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text
