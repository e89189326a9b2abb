#!/usr/bin/env bash
# A run by two processes on this machine's CPU, as a rehearsal of several hosts:
# launch/local_two_processes.sh --config=configs/barlow_digits.py:smoke --workdir=runs/two
set -uo pipefail
export JAX_PLATFORMS=cpu JAX_NUM_CPU_DEVICES="${JAX_NUM_CPU_DEVICES:-1}"
python=${PYTHON:-python}
port=$("$python" -c 'import socket; s = socket.socket(); s.bind(("", 0)); print(s.getsockname()[1])')

pids=()
trap 'kill -TERM "${pids[@]}" 2>/dev/null' INT TERM # the run saves and ends by itself
for process in 0 1; do
  "$python" -m jax_bt.main --coordinator="localhost:$port" --num_processes=2 \
    --process_id="$process" "$@" &
  pids+=($!)
done
code=0
for pid in "${pids[@]}"; do
  wait "$pid" || code=$?
done
exit "$code"
