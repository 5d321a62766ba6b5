#!/usr/bin/env bash
# Installs this checkout on a TPU VM, into .venv, with tensorflow-tpu in
# tensorflow's place. launch.sh runs it on every host; again it takes no time.
# The two packages fill the same folder, and tf-models-official asks for
# tensorflow: so nothing here follows dependencies. constraints.txt names every
# package, and must hold on Python 3.11, which uv fetches where it is missing.
set -euo pipefail
cd "$(dirname "$0")/.."

PYTHON=${PYTHON:-python3}
# tensorflow-tpu 2.20 asks for libtpu 0.0.14 or later, and pip takes the newest.
# TensorFlow looks up 205 functions in it by name, of which 0.0.52 lacks 135, and
# its plug-in must not be older than TensorFlow (PJRT 0.72; 0.0.14 has 0.68).
# 0.0.20, of the same week, has all (PJRT 0.73).
LIBTPU_VERSION=${LIBTPU_VERSION:-0.0.20}
printf '# PYTHON=%s\n# LIBTPU_VERSION=%s\n' "$PYTHON" "$LIBTPU_VERSION"

fail() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

tensorflow=$(sed -n 's/^tensorflow==//p' constraints.txt)
[ -n "$tensorflow" ] || fail "constraints.txt has no line tensorflow==VERSION."
command -v "$PYTHON" >/dev/null ||
  fail "there is no $PYTHON here. Set PYTHON to one."

# TensorFlow images bring a server of their own, which would hold the TPU.
if systemctl is-active --quiet tpu-runtime 2>/dev/null; then
  sudo systemctl stop tpu-runtime
fi

# Ours are marked from the start.
stamp=.venv/.tpu-vm
[ ! -e .venv ] || [ -f "$stamp" ] ||
  fail "$PWD/.venv was not made by this script, which is for TPU VMs."
wanted=$(cat constraints.txt setup.py tpu/setup_vm.sh | cksum)-$LIBTPU_VERSION
if [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
  echo "# installed: tensorflow-tpu $tensorflow, libtpu $LIBTPU_VERSION"
  exit 0
fi

# The second variable is for systems that keep pip out of their Python, and
# unknown to older pips.
"$PYTHON" -m uv --version >/dev/null 2>&1 ||
  PIP_BREAK_SYSTEM_PACKAGES=1 "$PYTHON" -m pip install --quiet --user uv ||
  fail "uv could not be installed with $PYTHON -m pip."
rm -rf .venv
"$PYTHON" -m uv venv --quiet --python 3.11 .venv ||
  fail "uv found and fetched no Python 3.11."
touch "$stamp"
grep -v '^tensorflow==' constraints.txt >.venv/packages.txt
"$PYTHON" -m uv pip install --quiet --python .venv/bin/python --no-deps \
  -r .venv/packages.txt \
  "tensorflow-tpu==$tensorflow" "libtpu==$LIBTPU_VERSION" --editable . ||
  fail "a package could not be installed; uv says which above."

# Without the TPU, which a running job may hold.
TF_CPP_MIN_LOG_LEVEL=3 TPU_LOAD_LIBRARY=0 .venv/bin/python -c "import simclr_tf, tensorflow as tf, official
print('# installed: tensorflow-tpu', tf.__version__)" ||
  fail "what was installed cannot be imported."
printf '%s\n' "$wanted" >"$stamp"
