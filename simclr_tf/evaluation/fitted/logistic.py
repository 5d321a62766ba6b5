"""One l2-regularised logistic regression on frozen features, by L-BFGS.

`l2_selection` chooses its l2. The objective, with x_i in R^D:

    J(W, b) = sum_i loss(x_i W + b, y_i) + l2 / 2 * ||W||^2

loss is the softmax cross-entropy; for several labels per image, the sum over
the classes of the binary cross-entropies that count (one classifier against
the rest for each class). The bias is not penalised. With loss_scale="mean"
the first sum is divided by the number of examples M.

SciPy's L-BFGS-B minimises, in float64, J / M (J itself for "mean"), and the
gradient norm is reported of that: the largest entry by size. On the same
objective scikit-learn's solver takes the same iterations and is no faster; it
keeps its gradient to itself and knows nothing of labels that do not count.
"""

import contextlib
import dataclasses
from typing import Any, NamedTuple

import numpy as np
import threadpoolctl
from scipy import optimize, special

from simclr_tf.evaluation import metrics

L2_VALUES = tuple(float(x) for x in np.logspace(-6, 5, 45))
# Products of fewer multiplications are left to one thread: threads that wait
# for each other spin, and where other work has the cores, they wait a hundred
# times longer than the product takes.
_THREADS_FROM = 100_000_000


@dataclasses.dataclass(frozen=True)
class Choices:
    """What the paper leaves open, and the grid that it gives.

    Attributes:
        l2_values: the grid (Paper: 45 values, evenly spaced in logarithm,
            from 1e-6 to 1e5).
        loss_scale: "sum" or "mean" over examples.
        standardise: features by mean and deviation of the examples that are
            fitted.
        tolerance: of the gradient norm, at which a fit has converged.
        max_iterations: of one fit.
        warm_start: whether the grid is walked from the strongest penalty to
            the weakest, each fit from the one before, and the last fit from
            the chosen one; otherwise all start from zero.
    """

    l2_values: tuple[float, ...] = L2_VALUES
    loss_scale: str = "sum"
    standardise: bool = True
    tolerance: float = 1e-7
    max_iterations: int = 1000
    warm_start: bool = True

    def __post_init__(self):
        if self.loss_scale not in ("sum", "mean"):
            raise ValueError(
                f"loss_scale is sum or mean. Received: {self.loss_scale}."
            )
        if not self.l2_values or min(self.l2_values) <= 0:
            raise ValueError(
                f"l2 values must be positive. Received: {self.l2_values}."
            )


class Fit(NamedTuple):
    """A fitted classifier.

    Attributes:
        weights: float64[D, K].
        bias: float64[K].
        l2: of the penalty.
        objective: the value of what was minimised (see the module).
        gradient_norm: largest entry of its gradient.
        iterations: of L-BFGS.
        converged: whether gradient_norm is within the tolerance.
    """

    weights: np.ndarray
    bias: np.ndarray
    l2: float
    objective: float
    gradient_norm: float
    iterations: int
    converged: bool

    def scores(self, values: np.ndarray) -> np.ndarray:
        """float64[M, K] of float[M, D]."""
        return values @ self.weights + self.bias

    def to_record(self) -> dict[str, Any]:
        """Everything but the weights."""
        return {
            key: value
            for key, value in self._asdict().items()
            if key not in ("weights", "bias")
        }


def fit(
    values: np.ndarray,
    labels: np.ndarray,
    *,
    l2: float,
    num_classes: int,
    choices: Choices | None = None,
    start: Fit | None = None,
) -> Fit:
    """Minimises the objective for one l2. Features are taken as they are.

    Args:
        values: float[M, D].
        labels: int[M] in 0..K-1, or int[M, K]; -1 does not count.
        l2: positive.
        num_classes: K.
        choices: loss_scale, tolerance and max_iterations count here.
        start: where to start from; zero if None.

    Raises:
        ValueError: labels that do not fit num_classes, or none that count.
    """
    choices = choices or Choices()
    values, labels = _checked(values, labels, num_classes)
    shape = (values.shape[1] + 1, num_classes)
    first = np.zeros(shape)
    if start is not None:
        first[:-1], first[-1] = start.weights, start.bias

    def value_and_gradient(flat):
        value, gradient = objective(
            flat.reshape(shape),
            values,
            labels,
            l2=l2,
            loss_scale=choices.loss_scale,
        )
        return value, gradient.ravel()

    with threads_for(values.size * num_classes):
        found = optimize.minimize(
            value_and_gradient,
            first.ravel(),
            jac=True,
            method="L-BFGS-B",
            options={
                "maxiter": choices.max_iterations,
                "maxfun": 20 * choices.max_iterations,
                "gtol": choices.tolerance,
                "ftol": 0.0,  # only the gradient says that it has converged
                "maxls": 50,
            },
        )
    norm = float(np.abs(found.jac).max())
    parameters = found.x.reshape(shape)
    return Fit(
        weights=parameters[:-1],
        bias=parameters[-1],
        l2=float(l2),
        objective=float(found.fun),
        gradient_norm=norm,
        iterations=int(found.nit),
        converged=norm <= choices.tolerance,
    )


def objective(
    parameters: np.ndarray,
    values: np.ndarray,
    labels: np.ndarray,
    *,
    l2: float,
    loss_scale: str = "sum",
) -> tuple[float, np.ndarray]:
    """What is minimised, and its gradient.

    Args:
        parameters: float64[D + 1, K], the weights and below them the bias.
        values: float64[M, D].
        labels: int[M], or int[M, K].
        l2: of the penalty.
        loss_scale: "sum" or "mean".

    Returns:
        J / M for "sum" and J for "mean", and its gradient float64[D + 1, K].
    """
    weights = parameters[:-1]
    scores = values @ weights
    scores += parameters[-1]
    loss_of = _softmax_loss if labels.ndim == 1 else _binary_losses
    loss, residual = loss_of(scores, labels)
    if loss_scale == "sum":
        l2 = l2 / len(values)
    gradient = np.empty_like(parameters)
    np.matmul(values.T, residual, out=gradient[:-1])
    residual.sum(axis=0, out=gradient[-1])
    gradient /= len(values)
    gradient[:-1] += l2 * weights
    return loss / len(values) + l2 / 2 * np.vdot(weights, weights), gradient


def threads_for(num_multiplications: int):
    """A context with as many threads as a product is worth."""
    if num_multiplications < _THREADS_FROM:
        return threadpoolctl.threadpool_limits(limits=1, user_api="blas")
    return contextlib.nullcontext()


def _softmax_loss(scores, labels):
    """Summed cross-entropy, and its gradient by the scores (in place)."""
    rows = np.arange(len(scores))
    scores -= scores.max(axis=1, keepdims=True)
    own = scores[rows, labels].sum()
    np.exp(scores, out=scores)
    totals = scores.sum(axis=1, keepdims=True)
    scores /= totals
    scores[rows, labels] -= 1
    return float(np.log(totals).sum() - own), scores


def _binary_losses(scores, labels):
    """Summed binary cross-entropies of what counts, and their gradient."""
    counts = labels >= 0
    signs = np.where(labels == 1, -1.0, 1.0)
    loss = (np.logaddexp(0, signs * scores) * counts).sum()
    return float(loss), (special.expit(scores) - (labels == 1)) * counts


def _checked(values, labels, num_classes) -> tuple[np.ndarray, np.ndarray]:
    """The examples whose label counts, values float64[m, D]."""
    multi = (len(values), num_classes)
    if labels.shape not in (multi, multi[:1]):
        raise ValueError(
            f"{len(values)} examples of {num_classes} classes need labels "
            f"[{len(values)}] or {list(multi)}. Received: {labels.shape}."
        )
    kept = metrics.counted(labels)
    if not kept.all():
        values, labels = values[kept], labels[kept]
    high = num_classes - 1 if labels.ndim == 1 else 1
    if not len(labels) or labels.max() > high:
        received = labels.max() if len(labels) else "none that count"
        raise ValueError(f"Labels must lie in 0..{high}. Received: {received}.")
    return np.asarray(values, np.float64), labels
