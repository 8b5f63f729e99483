"""Where every value of the configuration comes from, strongest source last."""

import re
from pathlib import Path
from typing import Any, NamedTuple

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from gpucal import params
from gpucal.paths import CONF
from gpucal.step import STEPS

EXPOSURE = ("instrument", "mode")  # what is known of an exposure, and has settings of its own


class Value(NamedTuple):
    """One setting: its dotted name, its value, and what set it."""

    key: str
    value: Any
    source: str

    @property
    def help(self):
        """What it means: the comment beside it, where it is declared."""
        group, _, rest = self.key.partition(".")
        if group == "steps":
            alias, _, parameter = rest.partition(".")
            return params.comments(STEPS[alias]).get(parameter, "") if alias in STEPS else ""
        return _comments().get(self.key, "")


def explain(config, layers):
    """Return the Value of every setting of a composed configuration.

    layers: (source, {dotted key: value}) from weak to strong, as `layers` gives them; what is in none is a default.
    """
    values = []
    for key, value in sorted(flat(config).items()):
        source = next((name for name, keys in reversed(layers) if _sets(keys, key)), "default")
        values.append(Value(key, value, source))
    return values


def layers(config, overrides, values, more=(), mode=None):
    """Return what set values beside the defaults: [(source, {dotted key: value})], from weak to strong.

    overrides: in Hydra's words; values: of a call from Python; more: further layers, weaker than the user's own.
    mode: the EXP_TYPE of the exposures.
    """
    found: list[tuple[str, dict]] = []
    written = {o.key_or_group: o for o in OverridesParser.create().parse_overrides(list(overrides))}
    about = {"instrument": config.get("instrument"), "mode": mode}
    found += [(f"{group}={name}", _chosen(group, name)) for group, name in about.items() if name]
    found += more
    if "experiment" in written:
        name = str(written["experiment"].value())
        found.append((f"experiment={name}", _chosen("experiment", name)))
    found.append(("command line", _written(written)))
    found.append(("call", flat(values)))
    return [(name, keys) for name, keys in found if keys]


def flat(node, before=""):
    """Return {dotted key: value} of a nested mapping; a list is a value."""
    if isinstance(node, DictConfig):
        node = OmegaConf.to_container(node, resolve=True)
    found: dict[str, Any] = {}
    for key, value in node.items():
        name = f"{before}{key}"
        if isinstance(value, dict) and value:
            found |= flat(value, f"{name}.")
        else:
            found[name] = value
    return found


def _sets(keys, key):
    return key in keys or any(key.startswith(f"{other}.") for other in keys)


def _written(overrides):
    keys: dict[str, Any] = {}
    for key, override in overrides.items():
        value = override.value()
        keys |= flat({key: value}) if isinstance(value, dict) else {key.replace("/", "."): value}
    return keys


def _chosen(group, name):
    folders = [CONF]
    if HydraConfig.initialized():
        runtime = HydraConfig.get().runtime.config_sources
        folders += [source.path for source in runtime if source.schema == "file" and source.path]
    files = [file for folder in folders if (file := Path(folder) / group / f"{name}.yaml").is_file()]
    return _file(files[-1]) if files else {}


def _file(path):
    return {key: value for key, value in flat(OmegaConf.load(path)).items() if key != "defaults"}


def _comments():
    """{setting: comment} of the base configuration."""
    text = (CONF / "base.yaml").read_text()
    return dict(re.findall(r"^(\w+):[^#\n]*#\s*(.+)$", text, re.M))
