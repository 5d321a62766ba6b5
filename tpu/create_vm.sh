#!/usr/bin/env bash
# Creates a TPU VM or a slice of them.
#   TPU_NAME=simclr ACCELERATOR_TYPE=v5litepod-16 tpu/create_vm.sh [--dry_run]
# Every setting is an environment variable; they are printed with their values.
set -euo pipefail
# shellcheck source=tpu/lib.sh
. "$(dirname "$0")/lib.sh"

only_dry_run "$@"
read_knobs
create_vm
say "$TPU_NAME costs money until tpu/delete_vm.sh."
