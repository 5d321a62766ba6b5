#!/usr/bin/env bash
# Deletes what create_vm.sh created, which ends its costs.
#   TPU_NAME=simclr tpu/delete_vm.sh [--dry_run]
set -euo pipefail
# shellcheck source=tpu/lib.sh
. "$(dirname "$0")/lib.sh"

only_dry_run "$@"
read_knobs
delete_vm
