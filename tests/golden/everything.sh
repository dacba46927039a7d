#!/bin/bash

# Parameters
#SBATCH --account=lab
#SBATCH --array=0-4%3
#SBATCH --constraint='nvlink&80gb'
#SBATCH --cpus-per-task=16
#SBATCH --exclude=n7,n9
#SBATCH --gres=gpu:h100:2
#SBATCH --job-name=tiny
#SBATCH --mem=128GB
#SBATCH --no-requeue
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --open-mode=append
#SBATCH --output=FOLDER/submitit/%A_%a_0_log.out
#SBATCH --partition=gpu
#SBATCH --qos=long
#SBATCH --signal=USR2@120
#SBATCH --time=2-00:00:00

# setup
module load cuda
export ALFWORLD_DATA="$HOME/data"

# command
export SUBMITIT_EXECUTOR=slurm
srun --unbuffered --output FOLDER/submitit/%A_%a_%t_log.out --cpus-per-task=16 PYTHON -u -m submitit.core._submit FOLDER/submitit

#!/bin/bash
#SBATCH --job-name=tiny-keeper
#SBATCH --partition=cpu
#SBATCH --account=lab
#SBATCH --qos=long
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=1
#SBATCH --mem=2GB
#SBATCH --time=00:30:00
#SBATCH --dependency=afterany:123
#SBATCH --output=FOLDER/submitit/keeper-%j.log

module load cuda
export ALFWORLD_DATA="$HOME/data"
PYTHON -m paw_bench.cli keep SWEEP
