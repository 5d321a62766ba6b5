"""Micro-batches against one graph that holds them all."""

import functools
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from simclr_tf import losses
from simclr_tf.models import SimClrOutput, build_simclr, resnet
from simclr_tf.optim import selection
from simclr_tf.train import micro_batches
from simclr_tf.train.pretrain import PretrainTrainer
from tests import image_files

ROOT = pathlib.Path(__file__).parents[2]
N, M, SIDE, CLASSES = 12, 4, 8, 3
PLAIN = tf.distribute.get_strategy()


def make_model(probe=True, **options):
    encoder = resnet(
        image_size=SIDE,
        depth=10,
        width=0.125,
        bn_groups="replica",
        dtype="float32",
        **options,
    )
    model = build_simclr(
        encoder, proj_out_dim=5, num_classes=CLASSES if probe else None
    )
    for variable in model.trainable_variables:
        # Residual branches start silent: their convolutions' gradients are 0.
        if not np.any(variable.numpy()) and variable.shape.rank == 1:
            variable.assign(tf.fill(variable.shape, 0.5))
    return model


def make_trainer(kind, model, **options):
    optimizer = selection.make_optimizer("lars", 0.1)
    optimizer.build(model.trainable_variables)
    return kind(
        strategy=PLAIN,
        model=model,
        optimizer=optimizer,
        dataset=tf.data.Dataset.range(1),
        contrast=functools.partial(losses.nt_xent, temperature=0.2),
        weight_decay=0.01,
        decayed=model.probe_variables[:1],
        color_view=lambda images, parameters: (
            tf.cast(images, tf.float32) / 255 * parameters[:, None, None]
        ),
        **options,
    )


def draw_batch(rng):
    views = rng.integers(0, 256, size=(2, N, SIDE, SIDE, 3), dtype=np.uint8)
    parameters = rng.uniform(0.5, 1, size=(2, N, 1)).astype(np.float32)
    labels = rng.integers(0, CLASSES, size=N)
    labels[::5] = -1
    return {
        "images_0": tf.constant(views[0]),
        "images_1": tf.constant(views[1]),
        "parameters_0": tf.constant(parameters[0]),
        "parameters_1": tf.constant(parameters[1]),
        "label": tf.constant(labels),
        "id": tf.range(N),
    }


def micro_batches_of(batch):
    return [
        {name: value[start : start + M] for name, value in batch.items()}
        for start in range(0, N, M)
    ]


class AllAtOnce(PretrainTrainer):
    """The oracle: one tape that holds what every micro-batch left behind."""

    def encode(self, batch):
        outs = [
            super(AllAtOnce, self).encode(b) for b in micro_batches_of(batch)
        ]
        return SimClrOutput(
            *(
                None if parts[0] is None else views_apart(parts)
                for parts in zip(*outs, strict=True)
            )
        )


def views_apart(parts):
    halves = [tf.split(part, 2) for part in parts]
    return tf.concat([h[0] for h in halves] + [h[1] for h in halves], axis=0)


@pytest.mark.parametrize("probe", [True, False])
def test_gradients_and_scalars_are_those_of_the_whole_batch(rng, probe):
    batch = draw_batch(rng)
    plain = make_trainer(AllAtOnce, make_model(probe))
    cached = make_trainer(
        micro_batches.MicroBatchTrainer,
        make_model(probe),
        micro_batch_size=M,
        loss_scale=8.0,
    )
    want, got = plain.gradients(batch), tf.function(cached.gradients)(batch)
    assert got[0].keys() == want[0].keys()
    for name in want[0]:
        np.testing.assert_allclose(got[0][name], want[0][name], rtol=1e-5)
    np.testing.assert_allclose(got[1], want[1], rtol=1e-5)
    for mine, reference in zip(got[2], want[2], strict=True):
        reference = 8.0 * reference
        scale = np.abs(reference).max()
        assert scale > 0
        np.testing.assert_allclose(mine, reference, atol=1e-4 * scale)


def test_moving_averages_follow_the_micro_batches_mean_once(rng):
    batch = draw_batch(rng)
    model = make_model()
    start = [v.numpy() for v in model.non_trainable_variables]
    trainer = make_trainer(
        micro_batches.MicroBatchTrainer, model, micro_batch_size=M
    )
    tf.function(trainer.gradients)(batch)

    # With momentum 0, the averages are what the last call saw.
    witness = make_model(bn_momentum=0.0)
    teller = make_trainer(PretrainTrainer, witness)
    seen = []
    for part in micro_batches_of(batch):
        teller.encode(part)
        seen.append([v.numpy() for v in witness.non_trainable_variables])
    means = [np.mean(values, axis=0) for values in zip(*seen, strict=True)]
    for variable, old, mean in zip(
        model.non_trainable_variables, start, means, strict=True
    ):
        assert np.abs(mean - old).max() > 1e-3
        np.testing.assert_allclose(
            variable, 0.9 * old + 0.1 * mean, rtol=1e-4, atol=1e-5
        )


def test_the_graph_does_not_grow_with_the_batch(rng):
    def operations(repeats):
        trainer = make_trainer(
            micro_batches.MicroBatchTrainer, make_model(), micro_batch_size=M
        )
        specs = {
            name: tf.TensorSpec([repeats * N, *value.shape[1:]], value.dtype)
            for name, value in draw_batch(rng).items()
        }
        step = tf.function(trainer.gradients).get_concrete_function(specs)
        return len(step.graph.get_operations())

    assert operations(1) == operations(16)


def test_refused_where_it_was_not_made_for():
    with pytest.raises(ValueError, match=r"--micro_batch_size.*a TPU"):
        micro_batches.check_place(PLAIN, "TPU")
    micro_batches.check_place(PLAIN, "CPU")


def weights(folder, step):
    reader = tf.train.load_checkpoint(str(folder / f"ckpt-{step}"))
    names = sorted(
        key
        for key in reader.get_variable_to_shape_map()
        if key.startswith("state/")
    )
    return np.concatenate([reader.get_tensor(name).ravel() for name in names])


@pytest.mark.soak
def test_micro_batches_train_as_replicas_do(tmp_path, rng):
    """Four micro-batches on one device, two on each of two, four replicas.

    Measured as the distance between the ends over the distance travelled,
    BN's averages and the optimizer's slots included. Noise, not digits: areas
    of one gray make rounding grow. Softplus, not ReLU: with ReLU a unit at a
    rounding of 0 may flip, as the replicas' test says of itself.
    """
    photos = tmp_path / "photos"
    for name in ("class_a", "class_b"):  # for the probe
        (photos / name).mkdir(parents=True)
    for number in range(64):
        pixels = rng.integers(0, 256, size=(24, 24, 3), dtype=np.uint8)
        place = photos / ("class_a" if number % 3 else "class_b")
        (place / f"{number}.png").write_bytes(image_files.encode(pixels, "PNG"))

    def run(devices, *options):
        folder = tmp_path / str(devices)
        subprocess.run(
            [
                sys.executable,
                str(ROOT / "tests" / "planted.py"),
                "smooth",
                "--dataset=folder",
                f"--data_dir={photos}",
                f"--model_dir={folder}",
                "--image_size=16",
                "--resnet_depth=10",
                "--width_multiplier=0.125",
                "--noglobal_bn",
                "--mixed_precision=none",
                "--augment_on=device",
                "--train_batch_size=32",
                "--train_steps=5",
                "--checkpoint_steps=1",
                "--warmup_epochs=0",
                "--optimizer=momentum",
                "--learning_rate=0.08",
                "--learning_rate_scaling=linear",
                "--keep_hub_module_max=0",
                f"--virtual_devices={devices}",
                *options,
            ],
            check=True,
        )
        return weights(folder, 5)

    replicas = run(4)
    travelled = np.linalg.norm(replicas - weights(tmp_path / "4", 1))
    for devices in (1, 2):
        micro = run(devices, "--micro_batch_size=8")
        ratio = np.linalg.norm(micro - replicas) / travelled
        print(f"distance over distance travelled: {ratio:.1e}")
        assert ratio < 1e-3
