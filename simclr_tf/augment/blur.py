"""Gaussian blur of a batch, each image with its own sigma.

Paper: Appendix A, "Gaussian blur": kernel a tenth of the image's side.
"""

import tensorflow as tf

_SIMD_FLOATS = 16  # AVX-512's; the others' divide it


def kernel_size(image_size: int) -> int:
    """Taps of the blur's kernel: 23 at 224 px, 3 at 32, 1 (none) below 20.

    Ref: tf2/data_util.py, random_blur: a tenth of the side, rounded down; half
    of that, rounded down, on either side of the centre.
    """
    return 2 * (image_size // 10 // 2) + 1


def gaussian_blur(images, sigma, *, kernel_size: int) -> tf.Tensor:
    """Convolves each image with a Gaussian of its own sigma.

    The kernel is exp(-x^2 / (2 sigma^2)) at whole x up to kernel_size // 2,
    normalised to sum 1, along rows and then columns.
    Ref: beyond the border there are zeros ("SAME" padding), so borders darken.

    Each image has another kernel, so no convolution of the whole batch will
    do. Here each image is multiplied by a banded matrix of its own: of the
    ways tried, about the fastest on the CPU executor and in XLA, and one that
    suits matrix units.
    TPU: matrix products round their inputs to bfloat16 by default, which is an
    error of about one level in 256.

    Args:
        images: float32[N, H, W, C].
        sigma: float32[N] in pixels; 0 leaves the image as it is, bit for bit.
        kernel_size: of all kernels, in pixels; odd.

    Returns:
        float32[N, H, W, C].

    Raises:
        ValueError: kernel_size is even or below 1.
    """
    if kernel_size < 1 or kernel_size % 2 == 0:
        raise ValueError(
            f"kernel_size must be odd and at least 1, got {kernel_size}"
        )
    blurred = images
    for _ in range(2):  # along the second axis, which then becomes the third
        side, other, channels = blurred.shape[1:]
        # Equal ranks and no broadcasting: TF 2.20's oneDNN kernel crashes on
        # [1, S, S] times [3, 1, S, S].
        rows = tf.reshape(blurred, [-1, side, other * channels])
        rows = tf.matmul(_band(sigma, side, kernel_size // 2), rows)
        rows = tf.reshape(rows, [-1, side, other, channels])
        blurred = tf.transpose(rows, [0, 2, 1, 3])
    return tf.where(sigma[:, None, None, None] > 0, blurred, images)


def gaussian_blur_one(image, sigma, *, kernel_size: int) -> tf.Tensor:
    """Blurs one image as ``gaussian_blur`` does, unless its sigma is 0.

    It adds up shifted copies of the image, one for each tap of the kernel.
    Compiled by XLA for a CPU, where one image stays in the cache, that takes
    half of the time of the banded matrices. Elsewhere it is slower.

    Args:
        image: float32[H, W, C].
        sigma: float32[] in pixels.
        kernel_size: odd, in pixels.

    Returns:
        float32[H, W, C].
    """
    radius = kernel_size // 2
    offsets = tf.range(radius + 1, dtype=tf.float32)
    taps = tf.exp(-tf.square(offsets / tf.maximum(sigma, 1e-3)) / 2.0)
    taps /= 2.0 * tf.reduce_sum(taps) - taps[0]

    planes = tf.transpose(image, [2, 0, 1])
    planes = tf.cond(
        sigma > 0,
        lambda: _slide(_slide(planes, taps, axis=1), taps, axis=2),
        lambda: planes,
    )
    return tf.transpose(planes, [1, 2, 0])


def _slide(planes, taps, *, axis: int) -> tf.Tensor:
    """Symmetric convolution along an axis, with zeros beyond the border."""
    radius = taps.shape[0] - 1
    margins = [[0, 0] for _ in planes.shape]
    margins[axis] = [radius, radius]
    padded = tf.pad(planes, margins)

    def shifted(by):
        begin = [0 for _ in planes.shape]
        begin[axis] = radius + by
        return tf.slice(padded, begin, planes.shape)

    total = shifted(0) * taps[0]
    for by in range(1, radius + 1):
        total += (shifted(by) + shifted(-by)) * taps[by]
    return total


def _band(sigma, side: int, radius: int) -> tf.Tensor:
    """float32[N, side, side]: row i holds the kernel, centred on i."""
    # On the CPU executor, exp rounds differently in a tensor's last elements
    # that fill no SIMD vector: without padding, an image's bits would depend on
    # its batch.
    padded = -(-(side + 2 * radius) // _SIMD_FLOATS) * _SIMD_FLOATS
    rows = tf.range(side, dtype=tf.float32)
    columns = tf.range(padded, dtype=tf.float32) - radius
    offsets = columns[None, :] - rows[:, None]
    # Where sigma is 0 the result is not used, but must not be NaN.
    sigma = tf.maximum(sigma, 1e-3)[:, None, None]
    band = tf.exp(-tf.square(offsets / sigma) / 2.0)
    band = tf.where(tf.abs(offsets) <= radius, band, 0.0)
    band /= tf.reduce_sum(band, axis=-1, keepdims=True)
    return band[:, :, radius : radius + side]  # zeros beyond the border
