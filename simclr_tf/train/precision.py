"""Keras's dtype policy: which type the encoder computes in.

Variables, losses and batch normalisation's statistics are float32 under every
dtype policy.
"""

import tensorflow as tf

_DTYPE_POLICIES = {
    "none": "float32",
    "bfloat16": "mixed_bfloat16",
    "float16": "mixed_float16",
}


def dtype_policy(mixed_precision: str, device_type: str) -> str:
    """The name of the dtype policy for `--mixed_precision` on a device.

    Args:
        mixed_precision: none, bfloat16, float16, or auto: bfloat16 where the
            device computes faster in it.
        device_type: "TPU", "GPU" or "CPU".

    Returns:
        "float32", "mixed_bfloat16" or "mixed_float16".
    """
    if mixed_precision != "auto":
        return _DTYPE_POLICIES[mixed_precision]
    fast = {"TPU": True, "GPU": _gpus_like_bfloat16}.get(
        device_type, _cpu_likes_bfloat16
    )
    return _DTYPE_POLICIES["bfloat16" if fast is True or fast() else "none"]


def loss_scale(dtype_policy: str) -> float:
    """What the loss is multiplied by before the gradient is taken.

    float16 cannot hold small gradients. The scale is fixed: a scale that
    adapts leaves updates out, and then the number of steps is not the number
    of updates.

    Args:
        dtype_policy: as `dtype_policy` returns it.
    """
    return 1024.0 if dtype_policy == "mixed_float16" else 1.0


def _gpus_like_bfloat16() -> bool:
    """Ampere (compute capability 8.0) brought bfloat16."""
    capabilities = [
        tf.config.experimental.get_device_details(gpu).get(
            "compute_capability", (0, 0)
        )
        for gpu in tf.config.list_physical_devices("GPU")
    ]
    return bool(capabilities) and min(capabilities) >= (8, 0)


def _cpu_likes_bfloat16() -> bool:
    """Whether oneDNN finds instructions for it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            features = file.read()
    except OSError:
        return False
    return "amx_bf16" in features or "avx512_bf16" in features
