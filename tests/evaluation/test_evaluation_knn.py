"""Weighted kNN against loops and against scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.neighbors import KNeighborsClassifier

from simclr_tf.evaluation import knn
from simclr_tf.evaluation.features import Features


def features(rng, number, num_classes=5):
    labels = rng.integers(0, num_classes, number)
    values = rng.normal(size=(number, 8)) + 0.7 * np.eye(8)[labels]
    return Features(
        values.astype(np.float32), labels, np.arange(number, dtype=np.int64)
    )


def slow_scores(train, test, k, temperature):
    scores = np.zeros((len(test.values), 5))
    for i, query in enumerate(test.values.astype(np.float64)):
        similarities = []
        for value, label in zip(train.values, train.labels, strict=True):
            value = value.astype(np.float64)
            cosine = query @ value / np.sqrt((query @ query) * (value @ value))
            similarities.append((cosine, label))
        for cosine, label in sorted(similarities, reverse=True)[:k]:
            scores[i, label] += np.exp((cosine - 1) / temperature)
    return scores


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(knn, "_QUERY_ROWS", 7)
    monkeypatch.setattr(knn, "_BANK_ROWS", 31)


@pytest.mark.parametrize("blocks", ["one", "many"])
def test_scores_are_the_definitions(rng, blocks, request):
    if blocks == "many":
        request.getfixturevalue("small_blocks")
    train, test = features(rng, 150), features(rng, 20)
    found = knn.knn_scores(
        train, test, num_classes=5, ks=(20, 100), temperature=0.07
    )
    for k in (20, 100):
        np.testing.assert_allclose(
            found[k], slow_scores(train, test, k, 0.07), rtol=2e-5
        )


def test_classes_are_scikit_learns(rng):
    train, test = features(rng, 3000), features(rng, 400)
    found = knn.knn_scores(train, test, num_classes=5)
    for k in (20, 200):
        model = KNeighborsClassifier(
            k,
            metric="cosine",
            algorithm="brute",
            weights=lambda distance: np.exp(-distance / 0.07),
        )
        model.fit(train.values.astype(np.float64), train.labels)
        np.testing.assert_array_equal(
            found[k].argmax(1), model.predict(test.values.astype(np.float64))
        )


def test_nearest_come_best_first(rng, small_blocks):
    bank, queries = features(rng, 200).values, features(rng, 30).values
    similarity, index = knn.nearest(queries, bank, k=9)
    everything = cosine_similarity(queries, bank)
    np.testing.assert_array_equal(
        index, np.argsort(-everything, axis=1, kind="stable")[:, :9]
    )
    np.testing.assert_allclose(
        similarity, np.take_along_axis(everything, index, 1), atol=1e-6
    )


def test_examples_without_label_do_not_vote(rng):
    train, test = features(rng, 100), features(rng, 10)
    labels = np.where(np.arange(100) % 2, train.labels, -1)
    half = Features(train.values[1::2], train.labels[1::2], train.ids[1::2])
    np.testing.assert_allclose(
        knn.knn_scores(
            train._replace(labels=labels), test, num_classes=5, ks=(20,)
        )[20],
        knn.knn_scores(half, test, num_classes=5, ks=(20,))[20],
        rtol=1e-6,
    )


def test_a_feature_of_zeros_is_no_neighbour_of_anything(rng):
    train, test = features(rng, 100), features(rng, 2)
    test.values[0] = 0
    found = knn.knn_scores(train, test, num_classes=5, ks=(20,))[20]
    assert np.isfinite(found).all()
    assert found[0].sum() == pytest.approx(20 * np.exp(-1 / 0.07))


@pytest.mark.parametrize("k", [0, 101])
def test_impossible_k_says_so(rng, k):
    with pytest.raises(ValueError, match=f"k={k}"):
        knn.knn_scores(
            features(rng, 100), features(rng, 5), num_classes=5, ks=(k,)
        )


def test_impossible_temperature_says_so(rng):
    with pytest.raises(ValueError, match="temperature"):
        knn.knn_scores(
            features(rng, 30),
            features(rng, 5),
            num_classes=5,
            ks=(3,),
            temperature=0.0,
        )


def test_rows_of_labels_say_so(rng):
    train, test = features(rng, 30), features(rng, 5)
    rows = train._replace(labels=np.eye(5, dtype=int)[train.labels])
    with pytest.raises(ValueError, match="one class an image"):
        knn.knn_scores(rows, test, num_classes=5, ks=(3,))
