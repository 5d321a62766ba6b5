"""The l2 protocol against other solvers of its written objective."""

import json

import numpy as np
import pytest
import threadpoolctl
from scipy import optimize, special
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from simclr_tf.evaluation import metrics
from simclr_tf.evaluation.fitted import l2_selection, logistic


@pytest.fixture(scope="module")
def digits():
    """Train, validation and test of 700, 400 and 697 digits."""
    values, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(5).permutation(len(labels))
    values, labels = values[order].astype(np.float32), labels[order]
    cuts = [slice(0, 700), slice(700, 1100), slice(1100, None)]
    return [(values[cut], labels[cut]) for cut in cuts]


def several_labels(rng, num_examples=150, num_classes=3):
    values = rng.normal(size=(num_examples, 6))
    labels = (values[:, :num_classes] + rng.normal(size=(150, 3)) > 1).astype(
        int
    )
    labels[rng.random(labels.shape) < 0.15] = -1
    return values, labels


def classes_of(rng, kind):
    if kind == "several":
        return several_labels(rng)
    values = rng.normal(size=(150, 6))
    return values, (values[:, :3] + rng.normal(size=(150, 3))).argmax(1)


def test_objective_is_as_written(rng):
    values, labels = classes_of(rng, "one")
    parameters = rng.normal(size=(7, 3))
    probabilities = special.softmax(
        values @ parameters[:-1] + parameters[-1], axis=1
    )
    cross_entropy = log_loss(labels, probabilities, normalize=False)
    penalty = 0.7 / 2 * (parameters[:-1] ** 2).sum()
    for scale, want in [
        ("sum", (cross_entropy + penalty) / 150),
        ("mean", cross_entropy / 150 + penalty),
    ]:
        found, _ = logistic.objective(
            parameters, values, labels, l2=0.7, loss_scale=scale
        )
        assert found == pytest.approx(want, rel=1e-12)


def test_objective_of_several_labels_is_as_written(rng):
    values, labels = several_labels(rng)
    parameters = rng.normal(size=(7, 3))
    likely = special.expit(values @ parameters[:-1] + parameters[-1])
    want = 0.7 / 2 * (parameters[:-1] ** 2).sum()
    for c in range(3):
        counts = labels[:, c] >= 0
        want += log_loss(labels[counts, c], likely[counts, c], normalize=False)
    found, _ = logistic.objective(parameters, values, labels, l2=0.7)
    assert found == pytest.approx(want / 150, rel=1e-12)


@pytest.mark.parametrize("kind", ["one", "several"])
@pytest.mark.parametrize("scale", ["sum", "mean"])
def test_gradient_is_the_objectives(rng, kind, scale):
    values, labels = classes_of(rng, kind)

    def at(flat):
        return logistic.objective(
            flat.reshape(7, 3), values, labels, l2=0.7, loss_scale=scale
        )

    point = rng.normal(size=21)
    numeric = optimize.approx_fprime(point, lambda x: at(x)[0], 1e-6)
    np.testing.assert_allclose(at(point)[1].ravel(), numeric, atol=1e-5)


@pytest.mark.parametrize("l2", [0.1, 1.0, 1e2])
def test_fit_is_scikit_learns_by_newtons_method(digits, l2):
    values, labels = digits[0]
    values = values.astype(np.float64) / 16
    ours = logistic.fit(
        values, labels, l2=l2, num_classes=10,
        choices=logistic.Choices(tolerance=1e-8),
    )  # fmt: skip
    theirs = LogisticRegression(C=1 / l2, solver="newton-cg", tol=1e-9)
    theirs.fit(values, labels)
    assert ours.converged
    # Curvature is at least l2 / M, so that is what the gradient leaves open.
    atol = 1e-8 * np.sqrt(650) / (l2 / 700)
    np.testing.assert_allclose(ours.weights, theirs.coef_.T, atol=atol)
    # The bias is not penalised, so a shift of all classes costs nothing.
    shift = ours.bias - theirs.intercept_
    np.testing.assert_allclose(shift, shift.mean(), atol=atol)


def test_several_labels_are_one_classifier_a_class(rng):
    values, labels = several_labels(rng)
    ours = logistic.fit(values, labels, l2=2.0, num_classes=3)
    for c in range(3):
        counts = labels[:, c] >= 0
        theirs = LogisticRegression(C=1 / 2.0, solver="newton-cg", tol=1e-9)
        theirs.fit(values[counts], labels[counts, c])
        np.testing.assert_allclose(
            ours.weights[:, c], theirs.coef_[0], atol=1e-3
        )
        assert ours.bias[c] == pytest.approx(theirs.intercept_[0], abs=1e-3)


def written_objective(flat, values, one_hot, l2):
    """The module's docstring once more, in float64, divided by M."""
    weights, bias = flat[:-10].reshape(-1, 10), flat[-10:]
    log_likely = special.log_softmax(values @ weights + bias, axis=1)
    loss = -(one_hot * log_likely).sum() + l2 / 2 * (weights**2).sum()
    residual = np.exp(log_likely) - one_hot
    gradient = np.r_[
        (values.T @ residual + l2 * weights).ravel(), residual.sum(0)
    ]
    return loss / len(values), gradient / len(values)


def minimise(values, labels, l2):
    """By SciPy, each from zero, much further than the protocol goes."""
    # One thread, because many spin where others have the cores.
    with threadpoolctl.threadpool_limits(1):
        return optimize.minimize(
            written_objective,
            np.zeros(10 * (values.shape[1] + 1)),
            args=(values, np.eye(10)[labels], l2),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": 5000, "maxfun": 9000, "gtol": 1e-8, "ftol": 0},
        )


def written_protocol(train, validation, test):
    """Standardise, choose of 45, fit again, test: l2, accuracies, the fit."""

    def scaled(values, like):
        deviation = like.std(0)
        deviation[deviation == 0] = np.inf
        return (values - like.mean(0)) / deviation

    def accuracy(flat, values, labels):
        guesses = values @ flat[:-10].reshape(-1, 10) + flat[-10:]
        return (guesses.argmax(1) == labels).mean()

    (x, y), (x_v, y_v), (x_t, y_t) = [
        (values.astype(np.float64), labels)
        for values, labels in (train, validation, test)
    ]
    validated = [
        (accuracy(minimise(scaled(x, x), y, l2).x, scaled(x_v, x), y_v), l2)
        for l2 in np.logspace(-6, 5, 45)
    ]
    best, l2 = max(validated)
    both, labels = np.concatenate([x, x_v]), np.concatenate([y, y_v])
    final = minimise(scaled(both, both), labels, l2)
    return l2, best, accuracy(final.x, scaled(x_t, both), y_t), final


def check_protocol(splits):
    train, validation, test = splits
    outcome = l2_selection.linear_transfer(
        train, validation, test[0], num_classes=10, metric="top_1"
    )
    l2, validated, tested, final = written_protocol(*splits)
    assert outcome.l2 == pytest.approx(l2, rel=1e-12)
    assert outcome.validation == validated
    assert metrics.value("top_1", outcome.scores, test[1]) == tested
    assert outcome.refit.objective == pytest.approx(final.fun, rel=1e-7)
    assert outcome.refit.gradient_norm <= 1e-7
    assert outcome.refit.converged


def test_protocol_is_a_minimisation_of_what_is_written(digits):
    check_protocol(digits)


@pytest.mark.soak
def test_protocol_on_fashion_mnist(fashion_mnist_dir):
    """Random features of 28x28 pixels, so that the solver has some work."""
    import tensorflow_datasets as tfds

    images = tfds.load(
        "fashion_mnist", split="train[:3000]", data_dir=fashion_mnist_dir,
        batch_size=-1,
    )  # fmt: skip
    values = images["image"].numpy().reshape(3000, -1) / 255.0
    mixing = np.random.default_rng(0).normal(size=(784, 32)) / 28
    values = np.maximum(values @ mixing, 0).astype(np.float32)
    labels = images["label"].numpy()
    cuts = [slice(0, 1500), slice(1500, 2200), slice(2200, None)]
    check_protocol([(values[cut], labels[cut]) for cut in cuts])


FEW = (1e-2, 1.0, 1e2)


def run(splits, progress=None, **choices):
    train, validation, test = splits
    return l2_selection.linear_transfer(
        train,
        validation,
        test[0],
        num_classes=10,
        metric="top_1",
        choices=logistic.Choices(**{"l2_values": FEW, **choices}),
        progress=progress,
    )


def test_grid_is_the_papers():
    grid = np.array(logistic.Choices().l2_values)
    assert len(grid) == 45
    np.testing.assert_allclose(np.log10(grid[[0, -1]]), [-6, 5])
    np.testing.assert_allclose(np.diff(np.log10(grid)), 0.25)


def test_warm_start_changes_the_way_and_not_the_end(digits):
    warm, cold = (
        run(digits, warm_start=w, tolerance=1e-8) for w in (True, False)
    )
    assert warm.l2 == cold.l2
    assert warm.validation == cold.validation
    np.testing.assert_allclose(warm.scores, cold.scores, atol=2e-3)
    iterations = [sum(p["iterations"] for p in x.path) for x in (warm, cold)]
    assert iterations[0] < iterations[1]


def test_a_given_l2_is_the_last_fit_of_the_protocol(digits):
    """Fitted once, on all labels, where the protocol would choose it."""
    train, validation, test = digits
    chosen = run(digits, l2_values=(1.0,))
    both = [np.concatenate(x) for x in zip(train, validation, strict=True)]
    scores, record = l2_selection.with_given(
        both, test[0], l2=1.0, num_classes=10
    )
    np.testing.assert_allclose(scores, chosen.scores, atol=3e-3)
    assert record["l2"] == 1.0 and record["l2_given"]
    assert record["not_converged"] == 0
    assert record["refit"]["gradient_norm"] <= 1e-7


def test_standardised_features_have_no_unit(digits):
    """Another scale and shift per feature, and constants, change nothing."""
    rng = np.random.default_rng(1)
    scale, shift = np.exp(rng.normal(size=64)), rng.normal(size=64)

    def other(values):
        constants = np.full((len(values), 2), [0.0, 1e6 / 7])
        return np.hstack([values * scale + shift, constants])

    splits = [
        (other(values.astype(float)), labels) for values, labels in digits
    ]
    before, after = run(digits), run(splits)
    assert before.l2 == after.l2
    np.testing.assert_allclose(before.scores, after.scores, atol=1e-3)
    raw = run(splits, standardise=False, max_iterations=20)
    assert abs(raw.scores - before.scores).max() > 0.1


def test_a_mean_needs_a_penalty_as_many_times_smaller(digits):
    values, labels = digits[0]
    values = values / 16
    by_sum = logistic.fit(values, labels, l2=7.0, num_classes=10)
    by_mean = logistic.fit(
        values,
        labels,
        l2=7.0 / len(values),
        num_classes=10,
        choices=logistic.Choices(loss_scale="mean"),
    )
    np.testing.assert_allclose(by_sum.weights, by_mean.weights, atol=1e-5)


def test_of_equals_the_strongest_penalty_is_taken():
    values = np.repeat([[0.0], [1.0]], 20, axis=0)
    labels = np.repeat([0, 1], 20)
    outcome = l2_selection.linear_transfer(
        (values, labels), (values, labels), values,
        num_classes=2, metric="top_1",
        choices=logistic.Choices(l2_values=(1e-3, 1.0, 0.1)),
    )  # fmt: skip
    assert [point["validation"] for point in outcome.path] == [1, 1, 1]
    assert outcome.l2 == 1.0
    assert outcome.to_record()["l2_at_edge_of_grid"]


def test_examples_without_a_label_are_not_fitted(digits):
    """Nor do they count in the scaling, or on validation."""

    def with_holes(values, labels):
        junk = np.full((50, 64), 1e3, np.float32)
        return np.r_[junk, values], np.r_[np.full(50, -1), labels]

    train, validation, test = digits
    found = run([with_holes(*train), with_holes(*validation), test])
    wanted = run(digits)
    np.testing.assert_array_equal(found.scores, wanted.scores)
    assert found.validation == wanted.validation


def test_what_did_not_converge_is_said(digits):
    record = run(digits, max_iterations=3).to_record()
    assert record["not_converged"] == 4
    assert not record["refit"]["converged"]
    assert record["refit"]["gradient_norm"] > 1e-7
    assert run(digits).to_record()["not_converged"] == 0


def test_record_is_json_and_progress_is_told(digits):
    told = []
    outcome = run(digits, progress=lambda *seen: told.append(seen[:2]))
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    record = json.loads(json.dumps(outcome.to_record()))
    assert [point["l2"] for point in record["path"]] == [1e2, 1.0, 1e-2]
    assert record["choices"]["loss_scale"] == "sum"


def test_several_labels_are_chosen_by_map(rng):
    splits = [several_labels(rng) for _ in range(3)]
    outcome = l2_selection.linear_transfer(
        splits[0], splits[1], splits[2][0],
        num_classes=3, metric="voc_map",
        choices=logistic.Choices(l2_values=FEW),
    )  # fmt: skip
    assert outcome.scores.shape == (150, 3)
    found = metrics.value("voc_map", outcome.scores, splits[2][1])
    noise = metrics.value("voc_map", rng.normal(size=(150, 3)), splits[2][1])
    assert found > noise + 0.2


@pytest.mark.parametrize(
    "labels", [np.full(700, -1), np.full(700, 10), np.zeros(699, int)]
)
def test_labels_that_do_not_fit_say_so(digits, labels):
    with pytest.raises(ValueError, match="Received"):
        logistic.fit(digits[0][0], labels, l2=1.0, num_classes=10)


@pytest.mark.parametrize(
    "choices",
    [{"loss_scale": "max"}, {"l2_values": (0.0,)}],
)
def test_choices_that_do_not_exist_say_so(choices):
    with pytest.raises(ValueError, match=r"Received|names"):
        logistic.Choices(**choices)
