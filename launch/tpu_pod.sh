#!/usr/bin/env bash
# Runs a config on every host of a Cloud TPU slice, starting again after a preemption:
# TPU=my-v5e-32 ZONE=us-west4-a launch/tpu_pod.sh --config=configs/barlow_r50.py \
#     --workdir=/mnt/disk/run --config.data.data_dir=/mnt/disk/tfds
# Every host needs this repository in ~/jax_bt (or FOLDER), installed, and jax[tpu]. The first host
# alone writes the workdir: a shared or attached disk outlives the slice, a local one does not.
set -uo pipefail
: "${TPU:?name of the TPU slice}" "${ZONE:?its zone}"
folder=${FOLDER:-jax_bt}
words=$(printf '%q ' "$@")

while true; do
  gcloud compute tpus tpu-vm ssh "$TPU" --zone="$ZONE" --worker=all \
    --command="cd $folder && exec python3 -m jax_bt.main $words"
  code=$?
  case $code in
    0 | 2 | 3) exit "$code" ;; # done, a mistake to put right, not finite
    *) echo "exit code $code: starting again from the last checkpoint in 30 s" >&2 && sleep 30 ;;
  esac
done
