"""The augmentation policy: which operators, in which order, on host or device.

``draw`` decides everything random of many views from the samples' seeds. A view
is then made in two halves: ``host_view`` does the geometry, image by image, in
uint8. ``color_view`` applies what was drawn for the colours to a whole batch
and is free of randomness, so it can run in the tf.data graph or in the training
step (--augment_on) and give the same, up to a compiler's rounding. Paper:
Appendix A.
"""

import dataclasses

import tensorflow as tf

from simclr_tf.augment import blur, color, draw, geometry


@dataclasses.dataclass(frozen=True)
class Policy:
    """SimCLR's augmentation: crop, flip, colour distortion, blur, in order.

    The defaults are the paper's for ImageNet.

    Attributes:
        image_size: S, side of a view in pixels.
        crop: whether to crop at random; else the largest central square.
        min_crop_area: least area of a crop, fraction of the image's.
        min_object_covered: least fraction of the image inside a crop; 0.1 is
            the official code's, which makes that the least area.
        flip: whether to mirror half of the views, at random, left to right.
        color: whether to distort colours: jitter and drop.
        color_jitter_strength: s in [0, 1.25]; 0 distorts no colours.
        color_jitter_impl: brightness added (simclrv1, the paper) or multiplied
            (simclrv2, the official default).
        color_jitter_order: of the four operators, 'random' or 'fixed'.
        use_blur: whether to blur half of the views. Below 20 px the kernel has
            one tap, and blur no effect.
        blur_sigma_per: 'image', as in the paper, or 'batch': the views of a
            replica's batch share one sigma, as in the official code.

    Raises:
        ValueError: an attribute is out of its range.
    """

    image_size: int
    crop: bool = True
    min_crop_area: float = 0.08
    min_object_covered: float = 0.0
    flip: bool = True
    color: bool = True
    color_jitter_strength: float = 1.0
    color_jitter_impl: str = "simclrv1"
    color_jitter_order: str = "random"
    use_blur: bool = True
    blur_sigma_per: str = "image"

    def __post_init__(self):
        if self.image_size < 1:
            raise ValueError(
                f"--image_size must be at least 1 pixel, got {self.image_size}"
            )
        if not 0 < self.min_crop_area <= 1:
            raise ValueError(
                "--min_crop_area must be in (0, 1], a fraction of the image, "
                f"got {self.min_crop_area}"
            )
        if not 0 <= self.min_object_covered <= 1:
            raise ValueError(
                "--min_object_covered must be in [0, 1], a fraction of the "
                f"image, got {self.min_object_covered}"
            )
        draw.check_strength(self.color_jitter_strength)
        draw.check_choice(
            "color_jitter_impl", self.color_jitter_impl, draw.JITTER_IMPLS
        )
        draw.check_choice(
            "color_jitter_order", self.color_jitter_order, draw.JITTER_ORDERS
        )
        draw.check_choice(
            "blur_sigma_per", self.blur_sigma_per, ("image", "batch")
        )

    @classmethod
    def supervised(cls, image_size: int, **changes) -> "Policy":
        """Crop and flip only, for probes and fine-tuning. Paper: B.5, B.6."""
        return cls(image_size, **{"color": False, "use_blur": False, **changes})

    @property
    def distorts_colors(self) -> bool:
        """Whether any view's colours are jittered or dropped."""
        return self.color and self.color_jitter_strength > 0

    @property
    def blurs(self) -> bool:
        """Whether any view is blurred."""
        return self.use_blur and blur.kernel_size(self.image_size) > 1

    def draw(self, seed) -> dict[str, tf.Tensor]:
        """Draws everything random of views, many at once.

        Args:
            seed: int32[..., 2], from ``draw.sample_seed``.

        Returns:
            "crop" int32[..., 2], the seed of a box, which depends on the
            image's size; "flip" bool[...]; and "parameters"
            float32[..., NUM_PARAMETERS], for ``color_view``.
        """
        return {
            "crop": draw.crop_seed(seed),
            "flip": draw.flip_coin(seed),
            "parameters": draw.color_parameters(
                seed,
                strength=self.color_jitter_strength if self.color else 0.0,
                jitter_impl=self.color_jitter_impl,
                jitter_order=self.color_jitter_order,
                use_blur=self.use_blur,
            ),
        }

    def host_view(self, image, drawn) -> tf.Tensor:
        """Makes one view of one image up to its colours.

        Args:
            image: uint8[h, w, 3], of any size.
            drawn: of this view, from ``draw``.

        Returns:
            uint8[S, S, 3].
        """
        shape = tf.shape(image)
        if self.crop:
            box = draw.crop_box(
                shape,
                drawn["crop"],
                min_area=self.min_crop_area,
                min_object_covered=self.min_object_covered,
            )
        else:
            box = geometry.central_box(shape, proportion=1.0)
        view = geometry.crop_resize(image, box, size=self.image_size)
        return geometry.flip(view, drawn["flip"]) if self.flip else view

    def color_view(self, images, parameters) -> tf.Tensor:
        """Applies to a batch of views the colours that were drawn for them.

        Args:
            images: uint8[N, S, S, 3], from ``host_view``.
            parameters: float32[N, NUM_PARAMETERS], from ``draw``.

        Returns:
            float32[N, S, S, 3] in [0, 1].
        """
        images = self._distorted(images, parameters)
        if self.blurs:
            images = blur.gaussian_blur(
                images,
                self._sigma(parameters),
                kernel_size=blur.kernel_size(self.image_size),
            )
        return tf.clip_by_value(images, 0.0, 1.0)

    def color_view_in_turn(self, images, parameters) -> tf.Tensor:
        """``color_view`` for a CPU, one image after the other: compile it.

        As tf.function(policy.color_view_in_turn, jit_compile=True) it is a
        few fused loops that stay in the cache, where a batch goes through
        memory for each, and images without blur pass it by: less than half of
        the work. Equal to ``color_view`` up to rounding.
        """

        def one(view):
            image, parameters, sigma = view
            image = self._distorted(image[None], parameters[None])[0]
            if self.blurs:
                image = blur.gaussian_blur_one(
                    image,
                    sigma,
                    kernel_size=blur.kernel_size(self.image_size),
                )
            return tf.clip_by_value(image, 0.0, 1.0)

        sigma = tf.broadcast_to(
            self._sigma(parameters), tf.shape(parameters)[:1]
        )
        return tf.map_fn(
            one,
            (images, parameters, sigma),
            fn_output_signature=tf.TensorSpec(images.shape[1:], tf.float32),
        )

    def _distorted(self, images, parameters) -> tf.Tensor:
        images = tf.image.convert_image_dtype(images, tf.float32)
        if not self.distorts_colors:
            return images
        return color.distort(
            images, parameters, jitter_impl=self.color_jitter_impl
        )

    def _sigma(self, parameters) -> tf.Tensor:
        """float32[N], 0 where a view is not blurred."""
        drawn = parameters[:, draw.Column.SIGMA]
        if self.blur_sigma_per == "batch":
            drawn = drawn[:1]
        return drawn * parameters[:, draw.Column.BLUR]
