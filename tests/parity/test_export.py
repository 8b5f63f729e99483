"""Parameters travel to the official pipeline and mean the same there."""

import pytest


@pytest.mark.parametrize("name", ["detector1", "jump"])
def test_the_official_pipeline_reads_exported_parameters(name, official, tmp_path):
    from stpipe import Step

    from gpucal.export import write_stpipe
    from gpucal.settings import Settings

    settings = Settings([f"pipeline={name}", "steps.jump.rejection_threshold=5.5", "steps.jump.save_results=true"])
    path = write_stpipe(settings.pipeline("nircam"), tmp_path)
    step = Step.from_config_file(str(path))
    jump = step.jump if name == "detector1" else step
    assert type(jump).__name__ == "JumpStep"
    assert (jump.rejection_threshold, jump.save_results, jump.four_group_rejection_threshold) == (5.5, True, 5.0)


def test_other_pipelines_cannot_be_exported(official, tmp_path):
    from gpucal.errors import ConfigError
    from gpucal.export import write_stpipe
    from gpucal.settings import Settings

    with pytest.raises(ConfigError, match="mine is not one of the official pipelines"):
        write_stpipe(Settings(["pipelines.mine=[ipc,jump]", "pipeline=mine"]).pipeline("nircam"), tmp_path)
