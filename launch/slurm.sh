#!/usr/bin/env bash
# One task a node (TPU or CPU) or one a GPU: sbatch launch/slurm.sh --config=configs/barlow_r50.py
#SBATCH --job-name=jax_bt
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=8          # GPUs of a node; 1 on CPU nodes
#SBATCH --gpus-per-node=8            # not --gpus-per-task: each process picks its own by its local rank
#SBATCH --cpus-per-task=12
#SBATCH --time=24:00:00
#SBATCH --signal=TERM@120            # two minutes before the end: the run saves and exits with 75
#SBATCH --requeue
#SBATCH --output=%x-%j.log
set -euo pipefail

# srun tells every process who it is; nothing else has to be passed.
code=0
srun --kill-on-bad-exit=0 python -m jax_bt.main "$@" || code=$?

# 75: stopped and saved; 69: a process or its node was lost. Both go on from the last checkpoint.
if [[ $code == 75 || $code == 69 || $code == 134 ]]; then
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
