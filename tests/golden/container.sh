#!/bin/bash

# Parameters
#SBATCH --array=0-4%5
#SBATCH --cpus-per-task=4
#SBATCH --gres=gpu:1
#SBATCH --job-name=tiny
#SBATCH --mem=16GB
#SBATCH --no-requeue
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --open-mode=append
#SBATCH --output=FOLDER/submitit/%A_%a_0_log.out
#SBATCH --signal=USR2@120
#SBATCH --time=24:00:00

# setup

# command
export SUBMITIT_EXECUTOR=slurm
srun --unbuffered --output FOLDER/submitit/%A_%a_%t_log.out --cpus-per-task=4 apptainer exec --nv image.sif python3 -u -m submitit.core._submit FOLDER/submitit

#!/bin/bash
#SBATCH --job-name=tiny-keeper
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=1
#SBATCH --mem=2GB
#SBATCH --time=00:30:00
#SBATCH --dependency=afterany:123
#SBATCH --output=FOLDER/submitit/keeper-%j.log

PYTHON -m paw_bench.cli keep SWEEP
