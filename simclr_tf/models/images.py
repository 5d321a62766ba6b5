"""Which images the models take."""

import tensorflow as tf


def require_float_images(images) -> None:
    """Refuses images of whole numbers, which Keras would take as they are.

    The check is of the dtype alone, so it works where a graph is made and
    costs nothing where it runs.

    Raises:
        TypeError: the images are not floats.
    """
    dtype = getattr(images, "dtype", None)
    if dtype is not None and not tf.as_dtype(dtype).is_floating:
        raise TypeError(
            "images must be float32 in [0, 1]; received "
            f"{tf.as_dtype(dtype).name}. Divide uint8 images by 255."
        )
