#!/bin/sh
# Everything that Procfile names, in the background: what `make up` (start) and `make down` (stop) call in a clone.
# The file that says what was started may outlive it, and its number by then be another process's: that one is left alone.
set -eu
started=.lethe/up.pid

runs() {
    test -f "$started" && ps -p "$(cat "$started")" -o args= 2>/dev/null | grep -q honcho
}

refuse() {
    echo "error: $1" >&2
    exit 1
}

case "${1:-}" in
start)
    if runs; then refuse "up: it runs already; stop it with make down"; fi
    command -v honcho >/dev/null || refuse "up: honcho is not installed; install lethe-recsys[up]"
    export PREFECT_API_URL="http://127.0.0.1:${PREFECT_PORT:-4200}/api"
    # Not inside of eval, which would go on where it fails.
    settings="$(lethe env)"
    eval "$settings"
    mkdir -p .lethe/logs
    nohup honcho --app-root . --procfile deploy/Procfile start >.lethe/logs/up.log 2>&1 &
    echo $! >"$started"
    echo "started; .lethe/logs/up.log tells how it goes, make down stops it"
    ;;
stop)
    test -f "$started" || refuse "down: nothing was started by make up"
    if runs; then
        kill -TERM "$(cat "$started")"
        while runs; do sleep 0.2; done
        echo "stopped"
    else
        echo "it had ended by itself; .lethe/logs/up.log tells why"
    fi
    rm -f "$started"
    ;;
*) refuse "up.sh: must be told start or stop" ;;
esac
