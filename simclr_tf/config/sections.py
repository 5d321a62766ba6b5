"""What a run is: frozen dataclasses, checked when made.

Every option is declared once, in the `*_options` files: its name is the flag's
name, its help the flag's help, its default the paper's (`Paper:` v1,
arXiv:2002.05709) with the official code's beside it where the two differ.
`resolve` says what becomes of the options that a user leaves unset.
"""

import dataclasses
import functools
import types
from collections.abc import Mapping
from typing import Any

from simclr_tf.config import checks
from simclr_tf.config.data_options import AugmentConfig, DataConfig
from simclr_tf.config.evaluation_options import EvalConfig
from simclr_tf.config.job_options import (
    DeviceConfig,
    JobConfig,
    OutputConfig,
    PreflightConfig,
    StudyConfig,
)
from simclr_tf.config.model_options import ExportConfig, ModelConfig
from simclr_tf.config.training_options import OptimConfig


@dataclasses.dataclass(frozen=True)
class Config:
    """A whole run. Sections keep names short; option names are unique."""

    job: JobConfig = dataclasses.field(default_factory=JobConfig)
    data: DataConfig = dataclasses.field(default_factory=DataConfig)
    augment: AugmentConfig = dataclasses.field(default_factory=AugmentConfig)
    model: ModelConfig = dataclasses.field(default_factory=ModelConfig)
    optim: OptimConfig = dataclasses.field(default_factory=OptimConfig)
    eval: EvalConfig = dataclasses.field(default_factory=EvalConfig)
    output: OutputConfig = dataclasses.field(default_factory=OutputConfig)
    export: ExportConfig = dataclasses.field(default_factory=ExportConfig)
    device: DeviceConfig = dataclasses.field(default_factory=DeviceConfig)
    preflight: PreflightConfig = dataclasses.field(
        default_factory=PreflightConfig
    )
    study: StudyConfig = dataclasses.field(default_factory=StudyConfig)

    def __post_init__(self):
        checks.require_consistent(self)

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Section -> option -> value, ready for JSON."""
        return dataclasses.asdict(self)

    @property
    def model_dir(self) -> str:
        """`--model_dir`, or runs/<dataset>[_<train_mode>]."""
        suffix = f"_{self.job.train_mode}"
        if self.job.train_mode == "pretrain":
            suffix = ""
        return self.job.model_dir or f"runs/{self.data.dataset}{suffix}"


def sections() -> dict[str, type]:
    """Section name -> its dataclass, in the order of `Config`."""
    return {f.name: f.default_factory for f in dataclasses.fields(Config)}


@functools.cache
def options() -> Mapping[str, tuple[str, dataclasses.Field]]:
    """Option name -> (section name, field)."""
    return types.MappingProxyType(
        {
            field.name: (name, field)
            for name, section in sections().items()
            for field in dataclasses.fields(section)
        }
    )
