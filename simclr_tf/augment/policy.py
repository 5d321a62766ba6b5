"""The augmentation policy: which operators, in which order, on host or device.

The paper's pipeline, or a list of operators of one's own (`operators`).

``Policy.draw`` draws everything random of many views from the samples' seeds.
A view is then made in two halves. ``host_view`` does the geometry, image by
image, in uint8. ``color_view`` applies to a whole batch the colours that were
drawn. It draws nothing itself, so it gives the same, up to a compiler's
rounding, in the tf.data graph and in the training step (--augment_on). Paper:
Appendix A.
"""

import dataclasses
import functools

import tensorflow as tf

from simclr_tf.augment import blur, color, draw, geometry
from simclr_tf.augment.operator_lists import OperatorLists
from simclr_tf.picture import Crops

# Above, the least factors of contrast and saturation would be negative.
_GREATEST = {"color_jitter_strength": 1.25, "min_object_covered": 1}
_CHOICES = {
    "color_jitter_impl": draw.JITTER_IMPLS,
    "color_jitter_order": draw.JITTER_ORDERS,
    "blur_sigma_per": ("image", "batch"),
}


@dataclasses.dataclass(frozen=True)
class Policy:
    """SimCLR's augmentation: crop, flip, colour distortion, blur, in order.

    The defaults are the paper's for ImageNet.

    Attributes:
        image_size: S, side of a view in pixels.
        crop: whether to crop at random; else the largest central square.
        min_crop_area: least area of a crop, as a fraction of the image's, in
            (0, 1].
        min_object_covered: least fraction of the image inside a crop, in
            [0, 1]. It is 0.1 in the official code, whose crops therefore have
            at least a tenth of the image's area.
        flip: whether to mirror half of the views, at random, left to right.
        color: whether to distort colours: jitter and drop.
        color_jitter_strength: s in [0, 1.25]; 0 distorts no colours.
        color_jitter_impl: brightness added (simclrv1, the paper) or multiplied
            (simclrv2, the official default).
        color_jitter_order: of the four operators, 'random' or 'fixed'.
        use_blur: whether to blur half of the views. Below 20 px the kernel has
            one tap, so nothing is blurred.
        blur_sigma_per: 'image': each view has its own sigma, as in the paper;
            or 'batch': all views of a replica's batch have one, as in the
            official code.
        antialias: of `geometry.crop_resize`; off in the paper's code.
        operators: what is done instead of the pipeline, in order: names, or
            (name, probability), of `operators.OPERATORS`. "crop", and "flip"
            behind it, at the beginning are those of the pipeline; without,
            a view is the largest central square. crop, flip, color and
            use_blur then say nothing. None: the pipeline.
        second_operators: as operators, of all views but the first. Both begin
            with "crop", or neither. None: the same.

    Raises:
        ValueError: an attribute has a value that would make wrong views
            without an error.
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
    antialias: bool = False
    operators: tuple | None = None
    second_operators: tuple | None = None

    def __post_init__(self):
        # Only what would make wrong views without an error.
        for name, greatest in _GREATEST.items():
            if not 0 <= getattr(self, name) <= greatest:
                raise ValueError(
                    f"{name} must be in [0, {greatest}], "
                    f"got {getattr(self, name)}"
                )
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(
                    f"{name} must be one of {', '.join(choices)}, "
                    f"got {getattr(self, name)!r}"
                )
        self._lists  # noqa: B018  names what is wrong with them

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

    @functools.cached_property
    def _lists(self) -> OperatorLists | None:
        if self.operators is not None:
            return OperatorLists(self.operators, self.second_operators)
        if self.second_operators is not None:
            raise ValueError("second_operators needs operators")
        return None

    @property
    def compiles(self) -> bool:
        """Whether XLA can compile ``color_view``."""
        return self._lists is None or self._lists.compiles

    @property
    def num_parameters(self) -> int:
        """P, the length of a view's row of "parameters"."""
        return self._lists.width if self._lists else draw.NUM_PARAMETERS

    def draw(self, seed, view: int = 0) -> dict[str, tf.Tensor]:
        """Draws everything random of views, many at once.

        Args:
            seed: int64[...], from ``draw.sample_seed``.
            view: which of the samples' views, as there.

        Returns:
            "crop" int32[..., 2]: the seed of the crop's box, which is drawn
            when the image's size is known; "flip" bool[...]; and "parameters"
            float32[..., P], for ``color_view``.
        """
        if self._lists:
            return {
                "crop": draw.crop_seed(seed),
                "flip": self._lists.flip_coin(seed, view),
                "parameters": self._lists.draw(seed, view, self),
            }
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

    def box(self, shape, drawn) -> tf.Tensor:
        """int32[4], (y, x, height, width) of a view in an image.

        Args:
            shape: int32[3], of the image.
            drawn: what ``draw`` gave for this view.
        """
        if not (self._lists.crops if self._lists else self.crop):
            return geometry.central_box(shape, proportion=1.0)
        return draw.crop_box(
            shape,
            drawn["crop"],
            min_area=self.min_crop_area,
            min_object_covered=self.min_object_covered,
        )

    def crops(self, drawn) -> Crops:
        """What an image is decoded for: the boxes of all of its views.

        Args:
            drawn: what ``draw`` gave for each view.
        """
        return Crops(
            lambda shape: tf.stack([self.box(shape, one) for one in drawn]),
            self.image_size,
        )

    def host_view(self, image, drawn) -> tf.Tensor:
        """Makes one view of one image, but for its colours and blur.

        Args:
            image: uint8[h, w, C], of any size; or a Picture that was decoded
                for ``crops``.
            drawn: what ``draw`` gave for this view.

        Returns:
            uint8[S, S, C].
        """
        box = self.box(geometry.shape_of(image), drawn)
        view = geometry.crop_resize(
            image, box, size=self.image_size, antialias=self.antialias
        )
        flip = self._lists.flips if self._lists else self.flip
        return geometry.flip(view, drawn["flip"]) if flip else view

    def color_view(self, images, parameters) -> tf.Tensor:
        """Applies to a batch of views the colours and blur drawn for them.

        Args:
            images: uint8[N, S, S, C], from ``host_view``.
            parameters: float32[N, P], from ``draw``.

        Returns:
            float32[N, S, S, C] in [0, 1].
        """
        if self._lists:
            return self._operated(images, self._per(parameters))
        images = self._distorted(images, parameters)
        if self.blurs:
            images = blur.gaussian_blur(
                images,
                self._sigma(parameters),
                kernel_size=blur.kernel_size(self.image_size),
            )
        return tf.clip_by_value(images, 0.0, 1.0)

    def color_view_in_turn(self, images, parameters) -> tf.Tensor:
        """Does what ``color_view`` does, one image after the other.

        It is meant for CPUs, compiled: tf.function(policy.color_view_in_turn,
        jit_compile=True). One image stays in the cache from the first operator
        to the last, where a batch would go through memory for each, and an
        image without blur skips it. That is less than half of the work. The
        result equals that of ``color_view`` up to rounding.
        """

        if self._lists:
            return tf.map_fn(
                lambda view: self._operated(view[0][None], view[1][None])[0],
                (images, self._per(parameters)),
                fn_output_signature=tf.TensorSpec(images.shape[1:], tf.float32),
            )

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

    def _operated(self, images, parameters) -> tf.Tensor:
        images = tf.image.convert_image_dtype(images, tf.float32)
        return self._lists.apply(images, parameters, self)

    def _per(self, parameters) -> tf.Tensor:
        if self.blur_sigma_per == "batch":
            return self._lists.one_sigma(parameters)
        return parameters

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
