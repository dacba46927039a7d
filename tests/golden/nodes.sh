#!/bin/bash

# Parameters
#SBATCH --array=0-4%5
#SBATCH --cpus-per-task=16
#SBATCH --gres=gpu:h100:4
#SBATCH --job-name=tiny
#SBATCH --mem=64GB
#SBATCH --no-requeue
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --open-mode=append
#SBATCH --output=FOLDER/submitit/%A_%a_0_log.out
#SBATCH --partition=gpu
#SBATCH --signal=USR2@120
#SBATCH --time=24:00:00

# setup
module load cuda
export PAW_BENCH_NODES="$SLURM_JOB_NUM_NODES"
export MASTER_PORT=$((20000 + SLURM_JOB_ID % 20000))

# command
export SUBMITIT_EXECUTOR=slurm
srun --unbuffered --output FOLDER/submitit/%A_%a_%t_log.out --cpus-per-task=16 --kill-on-bad-exit=1 PYTHON -u -m submitit.core._submit FOLDER/submitit

#!/bin/bash
#SBATCH --job-name=tiny-keeper
#SBATCH --partition=gpu
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=1
#SBATCH --mem=2GB
#SBATCH --time=00:30:00
#SBATCH --dependency=afterany:123
#SBATCH --output=FOLDER/submitit/keeper-%j.log

module load cuda
PYTHON -m paw_bench.cli keep SWEEP
