#!/usr/bin/env bash
# Copies this checkout to a TPU VM or slice, installs it there, and runs run.py
# to its end, again where it was interrupted.
#   TPU_NAME=simclr tpu/launch.sh [--dry_run] FLAGS OF run.py...
#   TPU_NAME=simclr tpu/launch.sh --stop    ask the run to save and leave
# The run lives on the TPU VM: it survives a lost connection and Ctrl-C here,
# and the same command follows it again.
# Exit status: run.py's.
set -euo pipefail
# shellcheck source=tpu/lib.sh
. "$(dirname "$0")/lib.sh"

copy_code() {
  local revision code archive
  code=$(cd "$(dirname "$0")/.." && pwd)
  archive=$code/build/code.tar.gz
  git -C "$code" rev-parse HEAD >/dev/null 2>&1 ||
    fail "$code is not a git checkout; launch.sh copies what git knows."
  # Changes that are not committed go along; files that git does not know don't.
  revision=$(git -C "$code" -c user.name=launch -c user.email=launch@localhost \
    stash create) || true
  [ -n "$revision" ] || git -C "$code" diff --quiet HEAD ||
    give_up "git could not collect the changes in $code. Commit them first."
  say "code: $(git -C "$code" describe --always --dirty)"
  if [ "$DRY_RUN" = 0 ]; then
    mkdir -p "$code/build"
    git -C "$code" archive --format=tar.gz --output="$archive" \
      "${revision:-HEAD}"
  fi
  run gcloud compute tpus tpu-vm scp "$archive" "$TPU_NAME:code.tar.gz" \
    "${place[@]}" --worker=all ${more_ssh[@]+"${more_ssh[@]}"} ||
    give_up "the code could not be copied to $TPU_NAME; gcloud says why above."
}

on_code() { # WORKER WHAT FLAGS...
  local worker=$1
  shift
  quote "$@"
  on_vm "$worker" "cd simclr_tf && GENERATION=$GENERATION HOSTS=$HOSTS\
 bash tpu/vm.sh $QUOTED"
}

prepare() {
  copy_code
  on_vm all "mkdir -p simclr_tf && tar -xzf code.tar.gz -C simclr_tf &&\
 cd simclr_tf && bash tpu/setup_vm.sh" ||
    give_up "$TPU_NAME could not be set up; the reason is above."
  # On several hosts, one process drives a TensorFlow server on each.
  [ "$HOSTS" = one ] || on_code all serve ||
    give_up "TensorFlow's server did not start on every host of $TPU_NAME."
}

replace_vm() {
  say "$TPU_NAME is $STATE: creating it again (RECREATE=1)."
  delete_vm || say "nothing to delete"
  create_vm
  prepare
}

# Until run.py is done, or trying again is useless.
attend() {
  local status restarts=0 failed='' killed=0
  while true; do
    status=0
    on_code 0 run "$@" || status=$?
    if [ "$status" = 2 ] && [ $killed = 1 ]; then
      # Of a run that was killed, the folder remembers only when it last lived.
      say "If another command is said to run: it was killed. Once more in" \
        "$OWNER_SECONDS seconds."
      killed=0
      sleep "$OWNER_SECONDS"
      continue
    fi
    case $status in
      0) return 0 ;;
      2) say "Wrong flags or set-up: see the error above. Not tried again." ;;
      3) say "The run halted itself: see above. Not tried again." ;;
      130) say "Stopped by hand. The same command continues." ;;
    esac
    case $status in
      2 | 3 | 130) return "$status" ;;
    esac
    wait_for_state
    # At 143 and 129, run.py has left by itself, and given its folder back.
    case $status in
      143 | 129) ;;
      *) killed=1 ;;
    esac
    if [ $restarts -ge "$MAX_RESTARTS" ]; then
      say "Exit status $status after MAX_RESTARTS=$MAX_RESTARTS restarts."
      return "$status"
    fi
    # A fault of the program would only cost money again.
    if [ "$STATE" = READY ] && [ "$status" -lt 128 ] &&
      [ "$failed" = "$status" ]; then
      say "Failed twice with exit status $status. Not tried again."
      return "$status"
    fi
    failed=
    restarts=$((restarts + 1))
    say "exit status $status, $TPU_NAME is $STATE: restart $restarts of" \
      "$MAX_RESTARTS in $RESTART_SECONDS seconds"
    sleep "$RESTART_SECONDS"
    case $STATE in
      READY)
        [ "$status" -ge 128 ] || failed=$status
        # A machine that was repaired may have lost its disk.
        if [ $CHANGED = 1 ]; then
          prepare
        elif [ "$HOSTS" = several ]; then
          on_code all serve_anew || true
        fi
        ;;
      UNKNOWN) ;;
      *)
        [ "$RECREATE" = 1 ] || {
          say "$TPU_NAME was taken away ($STATE). tpu/delete_vm.sh and" \
            "tpu/create_vm.sh, then the same command; RECREATE=1 does it."
          return "$status"
        }
        replace_vm
        ;;
    esac
  done
}

while [ $# -gt 0 ]; do
  case $1 in
    --dry_run) DRY_RUN=1 ;;
    --stop) stop=1 ;;
    --help | -h)
      usage
      exit 0
      ;;
    *) break ;;
  esac
  shift
done
read_knobs
number MAX_RESTARTS 10 "how often to start again after an interruption"
number RESTART_SECONDS 30 "pause before starting again"
number OWNER_SECONDS 200 "after a kill, how long its folder may seem taken"
switch RECREATE 0 "1: create the TPU VM again when it was taken away"

if [ "${stop:-0}" = 1 ]; then
  on_code 0 stop
  exit 0
fi
[ $# -gt 0 ] || fail "launch.sh needs the flags of run.py, such as" \
  "--flagfile=flags/imagenet_r50_100ep.flags --model_dir=gs://BUCKET/run."
for flag in "$@"; do
  case $flag in
    --model_dir=gs://*) ;;
    --model_dir=*) [ "$RECREATE" = 0 ] || fail "RECREATE=1 needs a --model_dir" \
      "in gs://: $flag goes with the TPU VM."
      say "warning: $flag is on the TPU VM's disk and goes with it." ;;
    --*) ;;
    *) fail "Every argument is a --flag=value of run.py. Received: $flag." ;;
  esac
done

if [ "$RECREATE" = 1 ] && [ "$QUEUED" = 0 ]; then
  say "warning: without QUEUED=1, no capacity at that moment is the end."
fi
wait_for_state
case $STATE in
  READY) prepare ;;
  ABSENT) give_up "there is no TPU VM $TPU_NAME in $ZONE: tpu/create_vm.sh first." ;;
  UNKNOWN) give_up "gcloud could not look at $TPU_NAME; the reason is above." ;;
  *) [ "$RECREATE" = 1 ] || give_up "$TPU_NAME is $STATE. tpu/delete_vm.sh and" \
    "tpu/create_vm.sh, or RECREATE=1."
    replace_vm ;;
esac
trap 'say "The run goes on; the same command follows it, --stop stops it."
  exit 130' INT
if [ "$DRY_RUN" = 1 ]; then
  say "again after an interruption, at most MAX_RESTARTS times:"
fi
attend "$@"
