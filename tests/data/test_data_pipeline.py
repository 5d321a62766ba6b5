"""Batches: exact order, exact resume, hosts, padding; on every kind of source.

Legend: B the global batch, N the batch of a replica, H hosts.
"""

import dataclasses
import gc

import numpy as np
import pytest
import tensorflow as tf

from simclr_tf import counter_hash
from simclr_tf.data import pipeline, shards
from simclr_tf.data.corrupt import CorruptLog
from simclr_tf.data.sources import open_source
from tests import image_files
from tests.tiny_datasets import write_tfds

KINDS = ("pixels", "images", "files", "stream")
NUM_EXAMPLES = 23
SIDE = 4


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """The same number of examples in every kind of source."""
    place = tmp_path_factory.mktemp("sources")
    write_tfds("static", place, splits={"train": NUM_EXAMPLES}, num_classes=7)
    write_tfds(
        "ragged", place, splits={"train": NUM_EXAMPLES}, num_classes=7,
        image_shape=(None, None, 3), num_shards=5,
        sizes=[(10, 14), (17, 9), (8, 8)],
    )  # fmt: skip
    image_files.write_folder(place / "folder" / "a", NUM_EXAMPLES - 9)
    image_files.write_folder(place / "folder" / "b", 9)
    options = {"split": "train", "data_dir": str(place)}
    stream = open_source(dataset="ragged", **options, in_memory_limit_mb=0)
    examples = dataclasses.replace(stream.examples, window=4)
    opened = {
        "pixels": open_source(dataset="static", **options),
        "images": open_source(dataset="ragged", **options),
        "files": open_source(
            dataset="folder", split="train", data_dir=str(place / "folder")
        ),
        "stream": dataclasses.replace(stream, examples=examples),
    }
    for kind, source in opened.items():
        assert source.examples.storage == kind
        assert source.num_examples == NUM_EXAMPLES
    return opened


@pytest.fixture(autouse=True)
def _small_groups(monkeypatch):
    monkeypatch.setattr(shards, "GROUP", 2)


def small(image):
    image = tf.image.resize(image, [SIDE, SIDE])
    return tf.cast(tf.round(image), tf.uint8)


def draw(epoch, sample_id, number):
    """Two numbers from all that a view may depend on."""
    words = epoch[..., None], sample_id[..., None], number, [0, 1]
    return counter_hash.uniform(*words)


def view(image, drawn):
    return {"images": small(image), "parameters": drawn}


def training(source, *, seed=5, start_step=0, batch=6, replicas=1, **options):
    options = {"draw": draw, "view": view, "num_views": 2} | options
    return pipeline.training_batches(
        source,
        seed=seed,
        start_step=start_step,
        global_batch_size=batch,
        per_replica_batch_size=batch
        // (replicas * options.get("num_hosts", 1)),
        **options,
    )


def take(dataset, count):
    """The first batches as one dict of arrays, stacked along the rows."""
    batches = list(dataset.take(count).as_numpy_iterator())
    return {
        key: np.concatenate([batch[key] for batch in batches])
        for key in batches[0]
    }


def assert_same(one, other):
    assert one.keys() == other.keys()
    for key in one:
        np.testing.assert_array_equal(one[key], other[key], err_msg=key)


def all_ids(source):
    if source.random_access:
        return sorted(source.examples.ids.numpy().tolist())
    return sorted(int(i) for i, _ in source.examples.pieces.in_order())


@pytest.mark.parametrize("kind", KINDS)
def test_the_batch(sources, kind):
    batch = take(training(sources[kind]), 1)
    assert set(batch) == {
        *("images_0", "images_1", "parameters_0", "parameters_1"),
        *("label", "id"),
    }
    assert batch["images_0"].shape == (6, SIDE, SIDE, 3)
    assert batch["images_0"].dtype == np.uint8
    assert batch["parameters_1"].shape == (6, 2)
    assert batch["label"].dtype == batch["id"].dtype == np.int64
    np.testing.assert_array_equal(batch["images_0"], batch["images_1"])
    assert not np.any(batch["parameters_0"] == batch["parameters_1"])


@pytest.mark.parametrize("kind", KINDS)
def test_images_and_labels_belong_to_their_ids(sources, kind):
    source = sources[kind]
    batch = take(training(source), 4)
    truth = take(
        pipeline.eval_batches(
            source,
            global_batch_size=1,
            per_replica_batch_size=1,
            view=small,
        ),
        NUM_EXAMPLES,
    )
    row_of = {sample_id: row for row, sample_id in enumerate(truth["id"])}
    rows = [row_of[sample_id] for sample_id in batch["id"]]
    np.testing.assert_array_equal(batch["images_1"], truth["images"][rows])
    np.testing.assert_array_equal(batch["label"], truth["label"][rows])
    assert len(set(truth["label"])) > 1


@pytest.mark.parametrize("kind", KINDS)
def test_every_epoch_has_every_example_once_in_another_order(sources, kind):
    """B = 1 shows the order bare; three epochs of it."""
    source = sources[kind]
    ids = take(training(source, batch=1), 3 * NUM_EXAMPLES)["id"]
    epochs = ids.reshape(3, NUM_EXAMPLES)
    for epoch in epochs:
        assert sorted(epoch.tolist()) == all_ids(source)
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert np.mean(epochs[a] == epochs[b]) < 0.5
    # Batches only cut the same sequence.
    np.testing.assert_array_equal(take(training(source), 8)["id"], ids[:48])


@pytest.mark.parametrize("kind", KINDS)
def test_resuming_at_every_step_gives_the_tail(sources, kind):
    """6 steps of 9 are 2.3 epochs of 23."""
    source = sources[kind]
    whole = take(training(source, batch=9), 6)
    for step in range(1, 6):
        tail = take(training(source, batch=9, start_step=step), 6 - step)
        assert_same(tail, {key: whole[key][9 * step :] for key in whole})


@pytest.mark.parametrize("kind", ["pixels", "stream"])
def test_far_epochs_are_reached_at_once(sources, kind):
    source = sources[kind]
    step = 10**9
    batch = take(training(source, start_step=step, batch=1), NUM_EXAMPLES + 1)
    assert len(set(batch["id"])) > NUM_EXAMPLES // 2
    later = take(training(source, start_step=step + 1, batch=1), NUM_EXAMPLES)
    assert_same(later, {key: batch[key][1:] for key in batch})


@pytest.mark.parametrize("kind", ["images", "stream"])
def test_the_order_is_the_seeds_and_not_the_process(sources, kind):
    source = sources[kind]
    tf.random.set_seed(1)
    one = take(training(source, seed=0), 6)
    tf.random.set_seed(2)
    assert_same(one, take(training(source, seed=0), 6))
    serial = training(source, seed=0, num_parallel_calls=1, threadpool_size=1)
    assert_same(one, take(serial, 6))
    other = take(training(source, seed=1), 6)
    assert np.mean(one["id"] == other["id"]) < 0.5


@pytest.mark.parametrize(
    ("kind", "num_hosts"), [("pixels", 2), ("images", 4), ("files", 2)]
)
def test_any_number_of_hosts_sees_the_same_global_batches(
    sources, kind, num_hosts
):
    source = sources[kind]
    whole = take(training(source, batch=8), 5)
    parts = [
        take(training(source, batch=8, num_hosts=num_hosts, host=host), 5)
        for host in range(num_hosts)
    ]
    for key, rows in whole.items():
        by_host = [
            part[key].reshape(5, 8 // num_hosts, *rows.shape[1:])
            for part in parts
        ]
        together = np.concatenate(by_host, axis=1)
        np.testing.assert_array_equal(together.reshape(rows.shape), rows)


def test_hosts_share_out_a_stream(sources):
    """Each has its own part, of a size that differs by one at most."""
    source = sources["stream"]
    shares = []
    for host, size in enumerate((7, 8, 8)):
        options = {"batch": 3, "num_hosts": 3, "host": host}
        epochs = take(training(source, **options), 2 * size)["id"]
        assert set(epochs[:size]) == set(epochs[size:])
        shares += sorted(epochs[:size])
    tail = take(training(source, **options, start_step=11), 5)["id"]
    np.testing.assert_array_equal(tail, epochs[11:])
    assert sorted(shares) == all_ids(source)


@pytest.mark.parametrize("kind", ["pixels", "stream"])
def test_replica_batches_are_slices_of_the_global_batch(sources, kind):
    source = sources[kind]
    whole = take(training(source, batch=8), 3)
    assert_same(whole, take(training(source, batch=8, replicas=4), 12))


@pytest.mark.parametrize("kind", ["files", "stream"])
def test_what_is_skipped_is_not_decoded(sources, kind):
    """Every view is counted: only the steps that are asked for make any."""
    with tf.device("CPU:0"):
        counter = tf.Variable(0, dtype=tf.int64)

    def counted(image, drawn):
        with tf.control_dependencies([counter.assign_add(1)]):
            return view(tf.identity(image), drawn)

    options = {"num_parallel_calls": 1, "view": counted}
    batches = training(sources[kind], start_step=50, **options).take(1)
    assert len(list(batches)) == 1
    # One batch makes 12, and a few more are prefetched; 50 would make 600.
    assert 12 <= counter.numpy() <= 150


def test_files_of_skipped_groups_are_not_opened(tmp_path):
    """5 files in groups of 2, 2 and 1: the last record needs one file."""
    write_tfds("five", tmp_path, splits={"train": 20}, num_shards=5)
    source = open_source(
        dataset="five",
        split="train",
        data_dir=str(tmp_path),
        in_memory_limit_mb=0,
    )

    def last_id():
        batches = training(source, batch=1, start_step=19)
        return take(batches, 1)["id"]

    expected, needed = last_id(), 0
    for path in sorted(tmp_path.rglob("*.tfrecord-*")):
        path.rename(tmp_path / "away")
        try:
            np.testing.assert_array_equal(last_id(), expected)
        except tf.errors.NotFoundError:
            needed += 1
        (tmp_path / "away").rename(path)
    assert needed == 1


def test_on_batch_sees_whole_batches(sources):
    def add_mean(batch):
        images = tf.cast(batch["images_0"], tf.float32)
        return batch | {"mean": tf.reduce_mean(images, axis=[1, 2, 3])}

    batch = take(training(sources["images"], on_batch=add_mean), 2)
    expected = batch["images_0"].astype(np.float32).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(batch["mean"], expected, rtol=1e-5)


def test_windows_and_groups_mix_a_stream(sources):
    """Shuffling in two strokes: far more than a window's worth of positions."""
    source = sources["stream"]
    ids = take(training(source, batch=1), 20 * NUM_EXAMPLES)["id"]
    table = ids.reshape(20, NUM_EXAMPLES)
    positions = np.argsort(table, axis=1)  # where each id comes, per epoch
    assert positions.min(axis=0).max() < 10, "each id comes early in some epoch"
    assert positions.max(axis=0).min() > 13, "and late in another"
    # Uniform over 0..22 has a deviation of 6.6; over one window of 4, 1.1.
    assert positions.std(axis=0).min() > 4


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("num_hosts", [1, 2])
def test_eval_shows_every_example_once(sources, kind, num_hosts):
    source = sources[kind]
    ids, batches = [], []
    for host in range(num_hosts):
        dataset = pipeline.eval_batches(
            source,
            global_batch_size=8,
            per_replica_batch_size=2,
            view=small,
            num_hosts=num_hosts,
            host=host,
        )
        for batch in dataset.as_numpy_iterator():
            assert batch["images"].shape == (2, SIDE, SIDE, 3)
            batches.append(batch)
            real = batch["mask"]
            assert np.all(batch["label"][~real] == -1)
            assert np.all(batch["id"][~real] == -1)
            assert not batch["images"][~real].any()
            ids += batch["id"][real].tolist()
    assert len(batches) == 12
    assert sorted(ids) == all_ids(source)
    if num_hosts == 1 and source.random_access:
        assert ids == source.examples.ids.numpy().tolist()


@pytest.mark.parametrize("kind", ["images", "files", "stream"])
def test_eval_of_a_part(sources, kind):
    """Spread over the source where it can be: folders lie class by class."""

    def part(count):
        dataset = pipeline.eval_batches(
            sources[kind],
            global_batch_size=4,
            per_replica_batch_size=4,
            view=small,
            max_examples=count,
        )
        batches = list(dataset.as_numpy_iterator())
        ids = np.concatenate([b["id"][b["mask"]] for b in batches])
        return len(batches), ids.tolist()

    assert part(10**6) == part(NUM_EXAMPLES)
    whole = part(NUM_EXAMPLES)[1]
    num_batches, ids = part(9)
    assert (num_batches, len(set(ids))) == (3, 9)
    assert set(ids) < set(whole)
    assert (ids == whole[:9]) == (kind == "stream")


def test_batches_under_a_strategy(sources, mesh):
    """Through distribute_datasets_from_function, as the trainer does."""
    log = CorruptLog()

    def batches(context):
        assert context.get_per_replica_batch_size(8) == 2
        return training(sources["images"], batch=8, replicas=4, corrupt=log)

    iterator = iter(mesh.distribute_datasets_from_function(batches))
    whole = take(training(sources["images"], batch=8), 2)
    for step in range(2):
        replicas = mesh.experimental_local_results(next(iterator)["id"])
        together = np.concatenate([one.numpy() for one in replicas])
        np.testing.assert_array_equal(
            together, whole["id"][8 * step : 8 * (step + 1)]
        )


def test_a_log_that_nobody_else_holds_stays_alive(sources):
    iterator = iter(training(sources["images"], corrupt=CorruptLog()))
    gc.collect()
    assert next(iterator)["id"].shape == (6,)


def test_sizes_that_cannot_work_are_refused(sources):
    for batch, size, hosts in ((8, 3, 1), (9, 3, 2)):
        with pytest.raises(ValueError, match="multiple of the number of repl"):
            pipeline.training_batches(
                sources["pixels"],
                seed=0,
                start_step=0,
                global_batch_size=batch,
                per_replica_batch_size=size,
                num_hosts=hosts,
                draw=draw,
                view=view,
            )


def test_a_view_of_unknown_shape_is_refused(sources):
    with pytest.raises(ValueError, match="view gives 'images_0' of shape"):
        training(sources["images"], view=lambda image, _: {"images": image})
