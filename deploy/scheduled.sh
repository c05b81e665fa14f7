#!/bin/sh
# What is scheduled, put onto the server of PREFECT_API_URL as soon as that answers; then the worker that runs it, in the
# project's folder and environment.
set -eu
# Not inside of eval, which would go on where it fails.
settings="$(lethe env)"
eval "$settings"
python -m flows.schedules --wait
exec prefect worker start --pool lethe
