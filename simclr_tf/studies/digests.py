"""What a cell's numbers depend on, as a hash that its folder is known by."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from simclr_tf import hashing
from simclr_tf.config import Config, options, resolve, roles
from simclr_tf.config.option import Role
from simclr_tf.run_files import loading

RUN = "run"  # the folder of training, and the name of its command


class Digests:
    """Digests of cells; weights that several start from are read once."""

    def __init__(self):
        self._weights: dict[tuple[str, bool], str] = {}

    def of(self, commands: Iterable[tuple[str, Mapping[str, Any]]]) -> str:
        """Of everything that is computed; not of where, on what, how verbosely.

        Args:
            commands: name and flags of each of a cell.

        Raises:
            UserError: one would be refused, or what it starts from cannot be
                read.
        """
        identities = [self._identity(name, flags) for name, flags in commands]
        text = json.dumps(identities, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()

    def _identity(self, name: str, flags: Mapping[str, Any]) -> dict[str, Any]:
        flags = dict(flags)
        defaults = flags.pop("defaults", "paper")
        if name != RUN:
            flags["checkpoint"] = RUN
        config = resolve.resolve(flags, defaults=defaults).config
        return {
            **roles.of_record(config),
            # Where other data lies is part of which data it is.
            **roles.values_of(config, Role.DATASET),
            **(self._started_from(config) if name == RUN else {}),
            **_sample(config),
            "mode": config.job.mode,
            "protocol": config.eval.protocol,
            "name": name,
        }

    def _started_from(self, config: Config) -> dict[str, str]:
        """Which weights, wherever they lie. An option that is not given says
        nothing, so that cells of before there was one stay what they are."""
        return {
            name: self._weights_sha256(
                path, averages=name == "checkpoint" and config.job.ema_weights
            )
            for name, path in roles.values_of(config, Role.LOCATION).items()
            if roles.role_of(name) & Role.OBJECTIVE
            and roles.is_taken(name, config)
            and path
        }

    def _weights_sha256(self, path: str, *, averages: bool) -> str:
        key = path, averages
        if key not in self._weights:
            found = loading.open_weights(path, averages=averages)
            self._weights[key] = hashing.values_sha256(found.values)
        return self._weights[key]


def _sample(config: Config) -> dict[str, int]:
    """The batch where it says how many images are scored. The default says
    nothing, so that cells of before this was looked at stay what they are."""
    batch = config.eval.eval_batch_size
    usual = options()["eval_batch_size"][1].default
    if not config.eval.eval_steps or batch == usual:
        return {}
    return {"eval_batch_size": batch}
