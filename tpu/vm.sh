#!/usr/bin/env bash
# On a TPU VM, called by launch.sh with GENERATION and HOSTS set:
#   vm.sh run FLAGS...  start run.py in the background and follow it to its end;
#                       while it runs, only follow. Exit status: run.py's.
#   vm.sh stop          ask run.py to save and leave, and wait until it has
#   vm.sh serve         one of several hosts: start TensorFlow's server
#   vm.sh serve_anew    the same, in place of the one that is there
# In the background, so that a lost connection ends nothing.
set -euo pipefail
cd "$(dirname "$0")/.."

PYTHON=.venv/bin/python
PORT=${PORT:-8470}
JOBS=$PWD/runs/jobs

fail() {
  printf 'error: %s\n' "$*" >&2
  exit 2
}

# A process id alone could be another's by now, after a reboot.
alive() {
  local folder=$JOBS/$1
  [ -f "$folder/pid" ] &&
    { tr '\0' '\n' <"/proc/$(cat "$folder/pid")/cmdline"; } 2>/dev/null |
    grep -xF "$folder" >/dev/null
}

# begin NAME COMMAND...: in a session of its own, under a keeper that outlives
# the signals of a closing connection and writes down the exit status.
begin() {
  local name=$1 folder=$JOBS/$1
  shift
  mkdir -p "$folder"
  rm -f "$folder/status"
  touch "$folder/log"
  printf '%q ' "$@" >"$folder/command"
  # shellcheck disable=SC2016
  setsid bash -c 'trap : HUP INT TERM
    folder=$1
    shift
    "$@"
    echo $? >"$folder/status.tmp" && mv "$folder/status.tmp" "$folder/status"' \
    keeper "$folder" "$@" >>"$folder/log" 2>&1 </dev/null &
  echo $! >"$folder/pid"
  until alive "$name" || [ -f "$folder/status" ]; do sleep 0.05; done
}

# The keeper is gone without a status: killed, or the machine was.
status_of() { cat "$JOBS/$1/status" 2>/dev/null || echo 137; }

# follow NAME BYTE: prints its log from that byte on, to its end.
follow() {
  local folder=$JOBS/$1 from=$2
  tail -s 0.2 --pid="$(cat "$folder/pid")" -c "+$from" -f "$folder/log"
  return "$(status_of "$1")"
}

# What TensorFlow must know before it is imported.
plugin() {
  # From v5e on, libtpu is a plug-in of TensorFlow; before, it is built in.
  case $GENERATION in
    v5e | v5p | v6e)
      export NEXT_PLUGGABLE_DEVICE_USE_C_API=true
      TF_PLUGGABLE_DEVICE_LIBRARY_PATH=$("$PYTHON" -c \
        'import libtpu; print(libtpu.get_library_path())')
      export TF_PLUGGABLE_DEVICE_LIBRARY_PATH
      ;;
  esac
}

log_size() { wc -c 2>/dev/null <"$JOBS/$1/log" || echo 0; }

run() {
  local asked from=$(($(log_size run) + 1))
  asked=$(printf '%q ' "$PYTHON" run.py "$@")
  if alive run; then
    [ "$(cat "$JOBS/run/command")" = "$asked" ] || fail "another run is going" \
      "on here: $(cat "$JOBS/run/command"). Wait, or stop it with" \
      "tpu/launch.sh --stop."
    echo "# following the run that is going on"
    from=$((from > 2000 ? from - 2000 : 1))
  else
    if [ "$HOSTS" = several ]; then
      # The server on this host holds the TPU; run.py reaches it, and the
      # others, by their addresses.
      export TPU_LOAD_LIBRARY=0
      TPU_NAME=$("$PYTHON" tpu/worker.py --addresses)
    else
      plugin
      TPU_NAME=local
    fi
    export TPU_NAME
    begin run "$PYTHON" run.py "$@"
  fi
  follow run "$from"
}

stop() {
  local from=$(($(log_size run) + 1))
  if ! alive run; then
    echo "# nothing runs here"
    return
  fi
  # The group: keeper and run.py. The keeper waits.
  kill -TERM -- "-$(cat "$JOBS/run/pid")"
  follow run "$from" || true
}

serve() {
  local waited=0
  if ! alive server; then
    plugin
    begin server "$PYTHON" tpu/worker.py
  fi
  until (exec 3<>"/dev/tcp/localhost/$PORT") 2>/dev/null; do
    alive server || fail "TensorFlow's server ended:" \
      "$(tail -n 1 "$JOBS/server/log")"
    [ $waited -lt 240 ] || fail "TensorFlow's server does not listen on port" \
      "$PORT; its log is $JOBS/server/log."
    waited=$((waited + 1))
    sleep 0.5
  done
}

serve_anew() {
  if alive server; then
    kill -KILL -- "-$(cat "$JOBS/server/pid")"
    while alive server; do sleep 0.1; done
  fi
  serve
}

case ${1:-} in
  run | stop | serve | serve_anew) "$@" ;;
  *) fail "vm.sh knows run, stop, serve and serve_anew. Received: ${1:-nothing}." ;;
esac
