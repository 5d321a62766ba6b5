# shellcheck shell=bash
# What the scripts share that run where gcloud is: your machine or Cloud Shell.
# Bash 3.2, as on macOS, is enough.
set -euo pipefail

DRY_RUN=0

say() { printf '# %s\n' "$*"; }

# A setting is wrong.
fail() {
  printf 'error: %s\n' "$*" >&2
  exit 2
}

# The settings are right, and it did not work.
give_up() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# The comment at the head of the script.
usage() { sed -n '2,/^set /s/^# \{0,1\}//p' "$0"; }

# The arguments of a script that has only --dry_run.
only_dry_run() {
  case ${1:-} in
    "") ;;
    --dry_run) DRY_RUN=1 ;;
    --help | -h)
      usage
      exit 0
      ;;
    *) fail "${0##*/} knows --dry_run and --help. Received: $1." ;;
  esac
}

# Sets QUOTED to the words as a shell reads them back, quoted where needed.
quote() {
  local word mark="'" inside="'\\''"
  QUOTED=
  for word in "$@"; do
    case $word in
      "" | *[!A-Za-z0-9_./:=,@%+-]*) word="'${word//$mark/$inside}'" ;;
    esac
    QUOTED="$QUOTED${QUOTED:+ }$word"
  done
}

# Prints a command, and runs it unless --dry_run.
run() {
  quote "$@"
  printf '%s\n' "$QUOTED"
  [ "$DRY_RUN" = 1 ] || "$@"
}

# knob NAME DEFAULT MEANING: an environment variable, printed with its value.
knob() {
  local origin=given
  if [ -z "${!1:-}" ]; then
    printf -v "$1" '%s' "$2"
    origin=default
  fi
  quote "${!1}"
  say "$1=$QUOTED  ($origin) $3"
}

switch() {
  knob "$@"
  case ${!1} in
    0 | 1) ;;
    *) fail "$1 must be 0 or 1. Received: ${!1}." ;;
  esac
}

number() {
  knob "$@"
  case ${!1} in
    "" | *[!0-9]* | ??????????*)
      fail "$1 must be a whole number below a billion. Received: ${!1}." ;;
  esac
  # In arithmetic, bash takes a number that begins with 0 for an octal one.
  printf -v "$1" '%d' "$((10#${!1}))"
}

# Sets GENERATION (v3, ...), HOSTS (one, several) and the defaults of both.
# shellcheck disable=SC2034
read_slice() {
  local count=${ACCELERATOR_TYPE##*-} known=1
  case $ACCELERATOR_TYPE in
    v3-*) GENERATION=v3 usual_zone=europe-west4-a ;;
    v4-*) GENERATION=v4 usual_zone=us-central2-b ;;
    v5litepod-*) GENERATION=v5e usual_zone=us-central1-a ;;
    v5p-*) GENERATION=v5p usual_zone=us-east5-a ;;
    v6e-*) GENERATION=v6e usual_zone=us-east1-d ;;
    *) known=0 ;;
  esac
  case $GENERATION-$count in
    *-*[!0-9]* | *-0* | *- | *-??????*) known=0 ;;
    v5e-[148] | v6e-[148]) ;;
    *) [ $((count % 8)) = 0 ] || known=0 ;;
  esac
  [ $known = 1 ] || fail "ACCELERATOR_TYPE=$ACCELERATOR_TYPE is no TPU slice" \
    "that these scripts know. Examples: v3-8, v4-32, v5litepod-16, v5p-32," \
    "v6e-16; tpu/README.md has the table."
  # A host has 8 cores (v3, v4, v5p), or 8 chips where there are no more.
  HOSTS=one
  [ "$count" -le 8 ] || HOSTS=several
  # The plain images: TensorFlow comes from setup_vm.sh.
  case $GENERATION in
    v5e) image=v2-alpha-tpuv5-lite ;;
    v5p) image=v2-alpha-tpuv5 ;;
    v6e) image=v2-alpha-tpuv6e ;;
    *) image=tpu-ubuntu2204-base ;;
  esac
}

# The knobs that every script has; refuses what cannot work.
# shellcheck disable=SC2034
read_knobs() {
  local usual_zone='' image=''
  GENERATION='' HOSTS=''
  [ -n "${TPU_NAME:-}" ] || fail "TPU_NAME is not set. Choose a name for the" \
    "TPU VM: export TPU_NAME=simclr"
  case $TPU_NAME in
    [!a-z]* | *[!a-z0-9-]* | *-) fail "TPU_NAME must be lower-case letters," \
      "digits and dashes, a letter first. Received: $TPU_NAME." ;;
  esac
  say "TPU_NAME=$TPU_NAME  (given) name of the TPU VM or slice"
  knob ACCELERATOR_TYPE v5litepod-16 "generation and size of the slice"
  read_slice
  knob ZONE "$usual_zone" "where; not every zone has every generation"
  knob PROJECT "" "empty: the project that gcloud is set to"
  knob RUNTIME_VERSION "$image" "image of the TPU VM"
  switch SPOT 0 "1: cheaper, and taken away when others pay more"
  switch QUEUED 0 "1: wait in a queue for capacity (queued resource)"
  knob CREATE_FLAGS "" "more flags for creating, such as --network=NAME"
  knob SSH_FLAGS "" "more flags for ssh and scp, such as --internal-ip"
  number POLL_SECONDS 30 "pause between two looks at what is waited for"
  number QUEUE_MINUTES 1440 "how long to wait there, or for a repair, at most"
  read -r -a more_create <<<"$CREATE_FLAGS"
  read -r -a more_ssh <<<"$SSH_FLAGS"
  place=(--zone="$ZONE")
  [ -z "$PROJECT" ] || place+=(--project="$PROJECT")
  [ "$DRY_RUN" = 1 ] || command -v gcloud >/dev/null ||
    fail "gcloud is not installed: https://cloud.google.com/sdk/docs/install," \
      "or use Cloud Shell. --dry_run works without."
}

create_vm() {
  local tier=()
  [ "$SPOT" = 0 ] || tier=(--spot)
  if [ "$QUEUED" = 0 ]; then
    run gcloud compute tpus tpu-vm create "$TPU_NAME" "${place[@]}" \
      --accelerator-type="$ACCELERATOR_TYPE" --version="$RUNTIME_VERSION" \
      ${tier[@]+"${tier[@]}"} ${more_create[@]+"${more_create[@]}"} ||
      not_created
    return
  fi
  run gcloud compute tpus queued-resources create "$TPU_NAME" \
    --node-id="$TPU_NAME" "${place[@]}" \
    --accelerator-type="$ACCELERATOR_TYPE" \
    --runtime-version="$RUNTIME_VERSION" \
    ${tier[@]+"${tier[@]}"} ${more_create[@]+"${more_create[@]}"} ||
    not_created
  wait_in_queue
}

not_created() {
  give_up "$TPU_NAME was not created; gcloud says why above. Quota: ask for" \
    "$ACCELERATOR_TYPE in $ZONE (SPOT=1 has its own). No capacity: QUEUED=1," \
    "or another ZONE."
}

wait_in_queue() {
  local state look looks=$((QUEUE_MINUTES * 60 / (POLL_SECONDS + 1) + 1))
  local ask=(gcloud compute tpus queued-resources describe "$TPU_NAME"
    "${place[@]}" "--format=value(state.state)")
  say "until it says ACTIVE:"
  quote "${ask[@]}"
  printf '%s\n' "$QUOTED"
  [ "$DRY_RUN" = 0 ] || return 0
  for ((look = 0; look < looks; look++)); do
    state=$("${ask[@]}") || state=UNKNOWN
    case $state in
      ACTIVE) return 0 ;;
      FAILED | SUSPEND*) give_up "the queued resource $TPU_NAME is $state." \
        "tpu/delete_vm.sh removes it; then create again." ;;
    esac
    say "$(date +%H:%M:%S) $TPU_NAME: $state"
    sleep "$POLL_SECONDS"
  done
  give_up "$TPU_NAME is still $state after QUEUE_MINUTES=$QUEUE_MINUTES. It stays" \
    "in the queue: tpu/delete_vm.sh takes it out."
}

delete_vm() {
  if [ "$QUEUED" = 0 ]; then
    run gcloud compute tpus tpu-vm delete "$TPU_NAME" "${place[@]}" --quiet
  else
    # With --force, the TPU VM of the queued resource goes, too.
    run gcloud compute tpus queued-resources delete "$TPU_NAME" \
      "${place[@]}" --force --quiet
  fi
}

# Sets STATE: READY, PREEMPTED, ..., ABSENT (no such TPU VM) or UNKNOWN.
look_at_vm() {
  local answer type
  local ask=(gcloud compute tpus tpu-vm describe "$TPU_NAME" "${place[@]}"
    "--format=value(state,acceleratorType)")
  quote "${ask[@]}"
  printf '%s\n' "$QUOTED"
  STATE=READY
  [ "$DRY_RUN" = 0 ] || return 0
  if ! answer=$("${ask[@]}" 2>&1); then
    STATE=UNKNOWN
    case $answer in
      *NOT_FOUND* | *"not found"*) STATE=ABSENT ;;
      *) printf '%s\n' "$answer" >&2 ;;
    esac
    return 0
  fi
  # The last line: gcloud may have warned before.
  answer=$(printf '%s\n' "$answer" | tail -n 1)
  STATE=${answer%%[[:space:]]*}
  type=${answer##*[[:space:]]}
  [ "${type##*/}" = "$ACCELERATOR_TYPE" ] || [ "$STATE" != READY ] ||
    fail "$TPU_NAME is a ${type##*/}, and ACCELERATOR_TYPE=$ACCELERATOR_TYPE." \
      "Set ACCELERATOR_TYPE to what it is."
}

# The same, once it is no longer on its way to another state: Google repairs and
# restarts a TPU VM by itself. Sets CHANGED to 1 where it was on its way.
# shellcheck disable=SC2034
wait_for_state() {
  local look looks=$((QUEUE_MINUTES * 60 / (POLL_SECONDS + 1) + 1))
  CHANGED=0
  look_at_vm
  for ((look = 0; look < looks; look++)); do
    case $STATE in
      CREATING | STARTING | RESTARTING | REIMAGING | REPAIRING) CHANGED=1 ;;
      *) return 0 ;;
    esac
    say "$(date +%H:%M:%S) $TPU_NAME: $STATE"
    sleep "$POLL_SECONDS"
    look_at_vm
  done
  give_up "$TPU_NAME is still $STATE after QUEUE_MINUTES=$QUEUE_MINUTES."
}

# on_vm WORKER COMMAND: runs a shell command line there; its exit status is ours.
# A connection that died is noticed, instead of waited on.
on_vm() {
  run gcloud compute tpus tpu-vm ssh "$TPU_NAME" "${place[@]}" --worker="$1" \
    --ssh-flag=-oServerAliveInterval=30 ${more_ssh[@]+"${more_ssh[@]}"} --command="$2"
}
