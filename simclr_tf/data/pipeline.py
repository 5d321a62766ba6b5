"""Training and evaluation batches, as tf.data.

    picks -> read (decode once; a substitute where that fails) -> views
          -> per-replica batch -> on_batch -> prefetch

A pick says which example comes next (`examples`, `shards`); the rest is here.
The views, the only place where augmentation comes in, are the caller's.

Legend: B the global batch, N the batch of one replica, S a view's side.
"""

import tensorflow as tf

from simclr_tf.data.corrupt import (
    CorruptLog,
    map_picks,
    read,
    read_or_blank,
    read_or_substitute,
)
from simclr_tf.data.examples import Source
from simclr_tf.picture import Picture, whole

# Above it, one batch waits for the step and no more, whatever the tuner finds:
# a step with such a batch takes longer than making the next.
_LARGE_BATCH_BYTES = 2**28

# Side of the black image that stands for padding and unreadable examples.
_BLANK_SIDE = 32

# No Python control flow depends on a tensor here: AutoGraph would have nothing
# to convert, and takes seconds to find out.
_as_written = tf.autograph.experimental.do_not_convert


@_as_written
def training_batches(
    source: Source,
    *,
    seed: int,
    start_step: int,
    global_batch_size: int,
    per_replica_batch_size: int,
    draw,
    view,
    num_views: int = 2,
    num_hosts: int = 1,
    host: int = 0,
    crops=None,
    on_batch=None,
    corrupt: CorruptLog | None = None,
    num_parallel_calls: int = tf.data.AUTOTUNE,
    threadpool_size: int | None = None,
) -> tf.data.Dataset:
    """Endless batches of views, a function of (seed, step) alone.

    Every example of an epoch comes once; batches straddle the ends of epochs.
    Consecutive batches are consecutive slices of this host's rows,
    [host * B/H, (host + 1) * B/H), of the global batch: R of them make a step.

    Args:
        source: from `sources.open_source`.
        seed: of the order and the substitutes.
        start_step: global batches that have been used; they are not read.
        global_batch_size: B, over all replicas of all hosts.
        per_replica_batch_size: N; divides B / num_hosts.
        draw: (epoch int64[k], id int64[k], number of the view) -> dict of
            tensors [k, ...]: all that is random of the view, for many samples
            at once, since small operations cost most.
        view: (image uint8[h, w, C], what was drawn for it) -> dict of tensors
            of fixed shapes.
        num_views: views of an image, which is decoded once.
        crops: drawn for all views -> `picture.Crops`; view is then given a
            `picture.Picture`, decoded for these.
        num_hosts: H, processes that each read their part.
        host: this one, 0..H-1.
        on_batch: dict of a batch -> dict, mapped over the batches.
        corrupt, num_parallel_calls, threadpool_size: as in `eval_batches`.

    Returns:
        Dataset of dicts: `<key>_<number>` [N, ...] for each key of view and
        each view, "label" int64[N] (-1 where there is none), "id" int64[N].

    Raises:
        ValueError: batch sizes that do not divide; a view of unknown shape.
    """
    _check_sizes(global_batch_size, per_replica_batch_size, num_hosts)
    examples = source.examples

    def draw_views(epoch, sample_id):
        return tuple(draw(epoch, sample_id, i) for i in range(num_views))

    def sample(drawn, image, label, sample_id):
        views = {}
        for number in range(num_views):
            made = view(image, drawn[number])
            views |= {f"{key}_{number}": made[key] for key in made}
        return {**views, "label": label, "id": sample_id}

    def crops_of(pick):
        return None if crops is None else crops(pick["drawn"])

    def careful(pick):
        how = {"seed": seed, "crops": crops_of(pick), "log": corrupt}
        image, label, sample_id = read_or_substitute(examples, pick, **how)
        # Drawn for what is replaced. What is read in its place may be in this
        # batch itself, and its twin with the same views would be a negative
        # that is equal to its anchor.
        return sample(pick["drawn"], image, label, sample_id)

    samples = map_picks(
        examples,
        examples.training_picks(
            seed=seed,
            start_step=start_step,
            global_batch_size=global_batch_size,
            num_hosts=num_hosts,
            host=host,
            draw=draw_views,
        ),
        plain=lambda pick: sample(
            pick["drawn"], *read(examples, pick, crops_of(pick))
        ),
        careful=careful,
        num_parallel_calls=num_parallel_calls,
    )
    batches = samples.batch(per_replica_batch_size, drop_remainder=True)
    if on_batch is not None:
        batches = batches.map(on_batch, num_parallel_calls)
    return _finish(batches, threadpool_size)


@_as_written
def eval_batches(
    source: Source,
    *,
    global_batch_size: int,
    per_replica_batch_size: int,
    view,
    num_hosts: int = 1,
    host: int = 0,
    max_examples: int | None = None,
    crops=None,
    corrupt: CorruptLog | None = None,
    num_parallel_calls: int = tf.data.AUTOTUNE,
    threadpool_size: int | None = None,
) -> tf.data.Dataset:
    """Every example once, in the source's order; the last batch is padded.

    Every host gives the same number of batches, all of full shape. Padding
    and unreadable examples (which have no substitutes here) are black images
    with mask False and label -1.

    Args:
        source: from `sources.open_source`.
        global_batch_size: B, over all replicas of all hosts.
        per_replica_batch_size: N; divides B / num_hosts.
        view: image uint8[h, w, C] -> uint8[S, S, C].
        num_hosts: H, processes that each read their part.
        host: this one, 0..H-1.
        max_examples: only so many, spread over the source in a fixed
            arbitrary order; of a stream, the first.
        crops: `picture.Crops`; as in `training_batches`.
        corrupt: told of every image that could not be read.
        num_parallel_calls: images prepared side by side.
        threadpool_size: threads of a pool for this pipeline only.

    Returns:
        Dataset of dicts: "images" uint8[N, S, S, C], "label" int64[N] (or
        int64[N, K] of a source with several labels),
        "id" int64[N] (-1 for padding), "mask" bool[N].

    Raises:
        ValueError: batch sizes that do not divide; a view of unknown shape.
    """
    _check_sizes(global_batch_size, per_replica_batch_size, num_hosts)
    examples = source.examples
    num_examples = source.num_examples
    if max_examples is not None:
        num_examples = min(num_examples, max_examples)
    blank = source.black(_BLANK_SIDE)
    missing = tf.constant(-1, tf.int64)
    no_label = tf.fill(examples.label_shape, missing)

    def example(image, label, sample_id, mask):
        if crops is not None and not isinstance(image, Picture):
            image = whole(image)  # padding
        return {
            "images": view(image),
            "label": tf.where(mask, label, no_label),
            "id": sample_id,
            "mask": mask,
        }

    def careful(pick):
        how = {"blank": blank, "crops": crops, "log": corrupt}
        return example(*read_or_blank(examples, pick, **how))

    shown = map_picks(
        examples,
        examples.eval_picks(
            num_examples=num_examples,
            global_batch_size=global_batch_size,
            num_hosts=num_hosts,
            host=host,
        ),
        plain=lambda pick: example(
            *read(examples, pick, crops), tf.constant(True)
        ),
        careful=careful,
        num_parallel_calls=num_parallel_calls,
    )
    padding = tf.data.Dataset.from_tensors(
        (blank, no_label, missing, tf.constant(False))
    )
    shown = shown.concatenate(padding.map(example).repeat())
    num_global_batches = -(-num_examples // global_batch_size)
    per_host = num_global_batches * (global_batch_size // num_hosts)
    batches = shown.take(per_host).batch(
        per_replica_batch_size, drop_remainder=True
    )
    return _finish(batches, threadpool_size)


@_as_written
def scan(
    source: Source,
    *,
    corrupt: CorruptLog,
    limit: int = 512,
    seed: int = 0,
) -> int:
    """Reads some examples, so that bad data shows before any work is done.

    Args:
        source: from `sources.open_source`.
        corrupt: told of every image that could not be read. Its check is
            the caller's, and is final for sources of up to limit examples.
        limit: how many, drawn from the seed without repeats.
        seed: of the draw.

    Returns:
        How many were read.
    """
    examples = source.examples
    if not examples.can_fail:
        return 0
    blank = source.black(1)

    def careful(pick):
        return read_or_blank(examples, pick, blank=blank, log=corrupt)

    # The sizes, so that the images are needed and TensorFlow reads them.
    sizes = map_picks(
        examples,
        examples.scan_picks(limit=limit, seed=seed),
        plain=lambda pick: tf.size(read(examples, pick)[0]),
        careful=lambda pick: tf.size(careful(pick)[0]),
        num_parallel_calls=tf.data.AUTOTUNE,
    )
    return int(sizes.reduce(0, lambda count, _: count + 1))


def _check_sizes(global_batch_size, per_replica_batch_size, num_hosts):
    per_host, left = divmod(global_batch_size, num_hosts)
    if left or per_host % per_replica_batch_size:
        raise ValueError(
            f"A global batch of {global_batch_size} cannot be cut into"
            f" {num_hosts} hosts and batches of {per_replica_batch_size} per"
            " replica: --train_batch_size (or --eval_batch_size) must be a"
            " multiple of the number of replicas."
        )


def _finish(batches, threadpool_size) -> tf.data.Dataset:
    for key, spec in batches.element_spec.items():
        if not spec.shape.is_fully_defined():
            # TPU: XLA compiles for one shape.
            raise ValueError(
                f"view gives {key!r} of shape {spec.shape}; every shape must"
                " be known. Set it in view."
            )
    options = tf.data.Options()
    options.deterministic = True
    # The hosts' parts are cut out above; TF must not cut them again.
    options.experimental_distribute.auto_shard_policy = (
        tf.data.experimental.AutoShardPolicy.OFF
    )
    if threadpool_size is not None:
        options.threading.private_threadpool_size = threadpool_size
    return batches.with_options(options).prefetch(
        1 if _num_bytes(batches) > _LARGE_BATCH_BYTES else tf.data.AUTOTUNE
    )


def _num_bytes(batches) -> int:
    return sum(
        spec.shape.num_elements() * spec.dtype.size
        for spec in batches.element_spec.values()
    )
