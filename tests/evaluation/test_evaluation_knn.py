"""Weighted kNN against loops and against scikit-learn."""

import numpy as np
import pytest
import tensorflow as tf
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.neighbors import KNeighborsClassifier

from simclr_tf.errors import UserError
from simclr_tf.evaluation import features as features_of
from simclr_tf.evaluation import knn
from simclr_tf.evaluation.features import Features
from simclr_tf.evaluation.knn_watch import KnnWatch


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


@pytest.mark.parametrize("blocks", ["one", "many"])
@pytest.mark.parametrize("width", [1, 7, 64, 129])
def test_of_equals_the_first_are_taken(rng, width, blocks, request):
    """More equals than k, wherever they are in the bank, however cut."""
    if blocks == "many":
        request.getfixturevalue("small_blocks")
    queries = rng.normal(size=(11, width)).astype(np.float32)
    bank = np.concatenate(
        [rng.normal(size=(40, width)), *[queries] * 20, -queries]
    ).astype(np.float32)
    bank = bank[rng.permutation(len(bank))]
    for k in (1, 5, 19, 20):
        similarity, index = knn.nearest(queries, bank, k=k)
        for query, row in zip(queries, index, strict=True):
            equal = np.flatnonzero(
                (bank == query).all(axis=1)
                if width > 1
                else np.sign(bank[:, 0]) == np.sign(query[0])
            )
            np.testing.assert_array_equal(row, equal[:k])
        assert (similarity == 1).all()


def test_a_bank_of_one_feature_only_is_taken_in_its_order(rng):
    """A collapsed encoder: all are equal, and no row is preferred."""
    one = rng.normal(size=(1, 33)).astype(np.float32)
    _, index = knn.nearest(one.repeat(3, 0), one.repeat(700, 0), k=200)
    np.testing.assert_array_equal(index, [np.arange(200)] * 3)


@pytest.mark.parametrize("blocks", ["one", "many"])
def test_a_query_is_not_its_own_neighbour_and_its_twin_is(rng, blocks, request):
    if blocks == "many":
        request.getfixturevalue("small_blocks")
    bank = rng.normal(size=(90, 6)).astype(np.float32)
    bank[70] = bank[12] = bank[3]
    queries = np.array([12, 3, 70, 5])
    _, index = knn.nearest(bank[queries], bank, k=89, exclude=queries)
    assert index[:3, :2].tolist() == [[3, 70], [12, 70], [3, 12]]
    for query, row in zip(queries, index, strict=True):
        assert sorted([query, *row]) == list(range(90))


@pytest.mark.parametrize(("k", "exclude"), [(0, None), (6, None), (5, [0])])
def test_impossible_k_says_so(rng, k, exclude):
    bank = features(rng, 5).values
    with pytest.raises(ValueError, match=f"k={k}"):
        knn.nearest(bank[:1], bank, k=k, exclude=exclude)
    with pytest.raises(ValueError, match="k=0"):
        knn.knn_scores(
            features(rng, 9), features(rng, 5), num_classes=5, ks=(0,)
        )


@pytest.mark.parametrize(
    ("labelled", "ks"), [(1, [1]), (19, [19]), (20, [20]), (50, [20, 50])]
)
def test_where_few_have_a_label_all_of_them_vote(rng, labelled, ks):
    train, test = features(rng, 50), features(rng, 5)
    train.labels[labelled:] = -1
    found = knn.knn_scores(train, test, num_classes=5)
    assert list(found) == ks


def test_no_label_at_all_is_one_line(rng):
    train, test = features(rng, 30), features(rng, 5)
    unlabelled = train._replace(labels=np.full(30, -1))
    with pytest.raises(UserError, match="--train_split has a label"):
        knn.knn_scores(unlabelled, test, num_classes=5)


def test_accuracy_of_arrays(rng):
    train, test = features(rng, 400), features(rng, 100)
    scores = knn.knn_scores(train, test, num_classes=5, ks=(20,))[20]
    right = scores.argmax(1) == test.labels
    arrays = (train.values, train.labels, test.values, test.labels)
    assert knn.knn_accuracy(*arrays) == pytest.approx(right.mean())
    holes = np.where(np.arange(100) < 60, -1, test.labels)
    assert knn.knn_accuracy(*arrays[:3], holes) == pytest.approx(
        right[60:].mean()
    )
    few = knn.knn_accuracy(train.values[:7], train.labels[:7], *arrays[2:])
    assert 0 <= few <= 1
    with pytest.raises(ValueError, match="Received"):
        knn.knn_accuracy(train.values, test.labels, *arrays[2:])
    with pytest.raises(ValueError, match="with a label"):
        knn.knn_accuracy(*arrays[:3], np.full(100, -1))
    for kind in (float, str):
        with pytest.raises(TypeError, match="whole numbers"):
            knn.knn_accuracy(*arrays[:3], arrays[3].astype(kind))


class Splits:
    """Of images whose pixels are their features."""

    def __init__(self, rng, labels):
        self._images = rng.integers(0, 256, (len(labels), 2, 2, 3), np.uint8)
        self._labels = np.asarray(labels, np.int64)

    def __call__(self):
        size = len(self._labels)
        return tf.data.Dataset.from_tensors(
            {
                "images": self._images,
                "label": self._labels,
                "id": np.arange(size, dtype=np.int64),
                "mask": np.ones(size, bool),
            }
        )


@pytest.mark.parametrize(
    ("train", "test", "ks"),
    [(7, 4, [7]), (20, 4, [20]), (300, 4, [20, 200]), (0, 4, []), (9, 0, [])],
)
def test_watching_goes_on_however_few_have_a_label(rng, train, test, ks):
    watch = KnnWatch(
        features_of.raw_pixels,
        train=Splits(rng, [*rng.integers(0, 2, train), -1, -1]),
        test=Splits(rng, [*rng.integers(0, 2, test), -1]),
        strategy=tf.distribute.get_strategy(),
        num_classes=2,
    )
    assert list(watch()) == [f"knn/k{k}_top_1" for k in ks]


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
    with pytest.raises(UserError, match="--several_labels"):
        knn.knn_scores(rows, test, num_classes=5, ks=(3,))
