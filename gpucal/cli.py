"""The command line: `python -m gpucal +instrument=nircam input=... output_dir=...`, in Hydra's words."""

import logging
import os
import platform
import sys

from gpucal.errors import ConfigError, GpucalError
from gpucal.paths import CONF

log = logging.getLogger(__name__)
DONE, SOME_FAILED, NOTHING_STARTED, INTERRUPTED = 0, 1, 2, 130


def main():
    """Run the program and exit with 0: all done, 1: some exposures failed, 2: nothing could start."""
    from rich.console import Console

    console = Console(highlight=False)
    os.environ["HYDRA_FULL_ERROR"] = "1"  # errors reach us as they are; users see one line
    code = [DONE]
    from gpucal.experiment import spelled
    from gpucal.settings import declare, readable_errors

    declare()
    import hydra

    @hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
    def program(config):
        code[0] = max(code[0], _guarded(lambda: act(config, console), console))

    sys.argv[1:] = [spelled(argument) for argument in sys.argv[1:]]

    def compose_and_run():
        with readable_errors(sys.argv[1:]):
            program()
        return DONE

    before = _guarded(compose_and_run, console)
    sys.exit(max(before, code[0]))


def _guarded(work, console):
    """Return the exit code of work(), its errors printed as one line."""
    try:
        return work()
    except KeyboardInterrupt:
        console.print("interrupted")
        return INTERRUPTED
    except GpucalError as error:
        console.print(f"[red]error[/] {_plain(error)}", soft_wrap=True)
        return NOTHING_STARTED


def act(config, console):
    """Do what the composed configuration asks for; return the exit code."""
    from hydra.core.hydra_config import HydraConfig

    from gpucal.settings import Settings

    _log_to(console, config.log_level)
    _separate(config)
    settings = Settings(HydraConfig.get().overrides.task, run=config)
    _log_to_file(config)
    actions = {"run": run, "steps": list_steps, "config": show_config, "sample": make_sample}
    if config.action not in actions:
        from gpucal.params import suggest

        raise ConfigError(f"action={config.action} is not one of {', '.join(actions)}{suggest(config.action, actions)}")
    return actions[config.action](settings, console)


def _separate(config):
    """Give every job of a multirun a folder of its own, named after the values that differ."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.types import RunMode

    if HydraConfig.get().mode != RunMode.MULTIRUN:
        return
    parser = OverridesParser.create()
    given = parser.parse_overrides([arg for arg in sys.argv[1:] if not arg.startswith("-")])
    varied = {override.key_or_group for override in given if override.is_sweep_override()}
    task = parser.parse_overrides(list(HydraConfig.get().overrides.task))
    values = [f"{o.key_or_group}={o.value()}" for o in task if o.key_or_group in varied]
    config.output_dir = os.path.join(config.output_dir, ",".join(values).replace("/", "_"))


def run(settings, console):
    """Calibrate the input, or simulated exposures if there is none."""
    from gpucal import __version__, batch, device
    from gpucal.progress import Display, Stopwatch, prepared, summary

    config = settings.run
    files, folder = _input(settings, console)
    hardware = device.choose(config.device.name)
    console.print(f"gpucal {__version__} on {hardware.name}: {_plain(hardware.why)}", soft_wrap=True)
    log.info("gpucal %s on %s: %s; %s", __version__, hardware.name, hardware.why, platform.platform())
    log.info("settings: %s", " ".join(f"{key}={value}" for key, value in settings.changed().items()))
    references = _references(config, hardware, folder)
    _require_writable(config.output_dir)
    _warm(hardware, console)
    watch = Stopwatch()
    files, lost = prepared(console, files, settings, references)
    with Display(console, len(files)).live() as display:
        fates = lost + batch.calibrate(files, settings, references, display)
    summary(console, fates, watch.seconds, config.output_dir)
    return SOME_FAILED if any(fate.error for fate in fates) else DONE


def list_steps(settings, console):
    """Print every step with its parameters, their defaults and meanings."""
    from gpucal import params
    from gpucal.step import STEPS

    for alias, step in sorted(STEPS.items()):
        console.print(f"[bold]{alias}[/]  {_plain((step.__doc__ or '').splitlines()[0])}", soft_wrap=True)
        if step.references:
            console.print(f"  references: {', '.join(step.references)}")
        for name, value in params.defaults(step).items():
            if not name.startswith("override_"):
                console.print(
                    f"  {name} = {value}  {_plain('# ' + params.comments(step).get(name, ''))}", soft_wrap=True
                )
    return DONE


def show_config(settings, console):
    """Print every setting with its value, what set it and what it means, for +instrument=NAME, mode=EXP_TYPE if given.

    Of the steps only those of the pipeline are shown.
    """
    from rich.table import Table

    exposures = settings.instrument, settings.mode
    pipeline = settings.pipeline(*exposures) if settings.instrument else settings.default_pipeline
    if settings.run.export is not None:
        if settings.run.export != "stpipe":
            raise ConfigError(f"export={settings.run.export} is not stpipe")
        from gpucal.export import write_stpipe

        console.print(str(write_stpipe(pipeline, settings.run.output_dir)), markup=False, soft_wrap=True)
        return DONE
    shown = [step.alias for step in pipeline.steps]
    table = Table(box=None, pad_edge=False)
    for heading in ("setting", "value", "from", "meaning"):
        table.add_column(heading, overflow="fold")
    for one in settings.explained(*exposures):
        group, _, rest = one.key.partition(".")
        unset = one.value is None and one.source == "default" and (group == "override" or "override_" in rest)
        if unset or (group == "steps" and rest.partition(".")[0] not in shown):
            continue
        value = f"[bold]{_plain(one.value)}[/]" if one.source != "default" else _plain(one.value)
        table.add_row(_plain(one.key), value, _plain(one.source), _plain(one.help))
    console.print(table)
    return DONE


def make_sample(settings, console):
    """Make simulated exposures and references and say where they are."""
    files, folder = _sample(settings, console)
    for path in files:
        console.print(str(path), markup=False, soft_wrap=True)
    console.print(f"references in {folder}", markup=False, soft_wrap=True)
    return DONE


def _input(settings, console):
    """The files to calibrate, and the folder of their references if they are simulated."""
    from gpucal.batch.inputs import expand

    if settings.run.input is not None:
        return expand(settings.run.input), None
    if settings.instrument is None:
        raise ConfigError("nothing to do: give input=FILES, or +instrument=NAME for simulated exposures")
    return _sample(settings, console)


def _sample(settings, console):
    from pathlib import Path

    from gpucal.sample import make_sample

    instrument, seed = settings.instrument, settings.run.seed
    if instrument is None:
        raise ConfigError("simulated exposures need +instrument=NAME")
    folder = Path(settings.run.output_dir) / "sample" / f"{instrument}_{seed}"
    what = f"simulated {instrument} exposures (seed {seed}), made in {folder}"
    console.print(f"No input: {what}", markup=False, soft_wrap=True)
    _require_writable(settings.run.output_dir)
    return make_sample(instrument, folder, seed=seed)


def _references(config, hardware, folder):
    from omegaconf import OmegaConf

    from gpucal.reference import References, library

    kind, path = config.reference.kind, config.reference.path
    if kind == "auto":
        path = path or folder
        has_mappings = path and os.path.isdir(os.path.join(path, "mappings"))
        kind = "crds" if has_mappings or (not path and os.environ.get("CRDS_PATH")) else "folder" if path else "none"
    overrides = OmegaConf.to_container(config.override)
    return References(hardware, overrides, library(kind, path, config.reference.context, config.reference.verify))


def _require_writable(folder):
    """Refuse at once what would fail only after the first exposure."""
    import tempfile

    try:
        os.makedirs(folder, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ConfigError(f"output_dir={folder}: cannot be written: {error.strerror}") from error


def _warm(hardware, console):
    """Compile the host kernels together before the first exposure needs them one by one."""
    if hardware.name != "host":
        return
    from gpucal import compiler, kernel

    missing = [k for k in kernel.KERNELS.values() if not compiler.is_cached(k.source, k.name)]
    if missing:
        console.print(f"compiling {len(missing)} kernels for this processor, once")
    compiler.warm(kernel.KERNELS.values())


def _log_to(console, level):
    from rich.logging import RichHandler

    names = logging.getLevelNamesMapping()
    if str(level).upper() not in names:
        raise ConfigError(f"log_level={level} is not one of DEBUG, INFO, WARNING, ERROR")
    logger = logging.getLogger("gpucal")
    logger.handlers = [RichHandler(console=console, show_path=False, markup=False)]
    logger.setLevel(names[str(level).upper()])
    logger.propagate = False


def _log_to_file(config):
    """Append what happens to a file, with times and levels; nothing is written before the first line is."""
    if config.log_file is None or config.action != "run":
        return
    path = os.path.join(config.output_dir, config.log_file)
    _require_writable(os.path.dirname(path))
    handler = logging.FileHandler(path, delay=True, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger = logging.getLogger("gpucal")
    handler.setLevel(min(logging.INFO, logger.level))
    logger.handlers[0].setLevel(logger.level)
    logger.addHandler(handler)
    logger.setLevel(handler.level)


def _plain(text):
    from rich.markup import escape

    return escape(str(text))
