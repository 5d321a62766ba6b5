"""Which type the encoder computes in."""

import tensorflow as tf

_POLICIES = {
    "none": "float32",
    "bfloat16": "mixed_bfloat16",
    "float16": "mixed_float16",
}


def policy_name(mixed_precision: str, device_type: str) -> str:
    """The Keras policy for `--mixed_precision` on a kind of device.

    Args:
        mixed_precision: auto, none, bfloat16 or float16.
        device_type: "TPU", "GPU" or "CPU".
    """
    if mixed_precision != "auto":
        return _POLICIES[mixed_precision]
    fast = {"TPU": True, "GPU": _gpus_like_bfloat16}.get(
        device_type, _cpu_likes_bfloat16
    )
    return _POLICIES["bfloat16" if fast is True or fast() else "none"]


def loss_scale(policy: str) -> float:
    """What the loss is multiplied by before the gradient is taken.

    float16 has too few exponents for small gradients. The scale is fixed: a
    scale that adapts skips updates, and then a step is not a step.
    """
    return 1024.0 if policy == "mixed_float16" else 1.0


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
