#!/bin/bash
#SBATCH --nodes=1
echo "hello from $PWD"
