"""How long a run is, and what is due when."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a configuration means for a data set and a number of replicas.

    Attributes:
        num_examples: of the training split.
        global_batch_size: examples per step over all replicas.
        train_steps: T; training ends after exactly so many updates.
        warmup_steps: W.
        peak_learning_rate: after scaling with the batch.
        checkpoint_steps: between checkpoints.
        log_steps: between lines of metrics.
    """

    num_examples: int
    global_batch_size: int
    train_steps: int
    warmup_steps: int
    peak_learning_rate: float
    checkpoint_steps: int
    log_steps: int

    def describe(self, num_replicas: int = 1) -> str:
        """Two lines: how long, how fast, with how many images on a replica."""
        batch, each = self.global_batch_size, ""
        if num_replicas > 1:
            each = f" ({batch // num_replicas} on each replica)"
        epochs = self.train_steps * batch / self.num_examples
        return (
            f"Training: {self.train_steps} steps of {batch}{each} from "
            f"{self.num_examples} images ({epochs:.3g} epochs), warm-up "
            f"{self.warmup_steps} steps, peak learning rate "
            f"{self.peak_learning_rate:.4g}\n"
            f"Checkpoints every {self.checkpoint_steps} steps, metrics every "
            f"{self.log_steps}"
        )
