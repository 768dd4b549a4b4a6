#!/bin/sh
# The main job, shown: daemons that start and one that cannot, from Python and C, seen through /proc, and stopped.
# Called by `make demo`, which builds what it needs. Arguments: the Python with daemonctx, the folder of libdaemonctx.so.
set -eu
PYTHON=$1 LIBDIR=$2
HERE=$(dirname "$0")
WORK=$(mktemp -d)
trap 'stop_all; rm -rf "$WORK"' EXIT

stop_all() {
    for file in "$WORK"/*.pid /tmp/hello.pid; do
        [ -e "$file" ] && "$PYTHON" "$HERE/control.py" stop "$file" >/dev/null 2>&1 || true
    done
}

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }

# Runs a command that may fail, and shows what it says and its status.
run() {
    echo "\$ $*"
    status=0
    "$@" || status=$?
    echo "[exit status $status]"
}

# What the kernel says about the daemon that a pid file names.
show() {
    pid=$(cat "$1")
    grep -E '^(Name|Umask|State|Pid|PPid|SigBlk|SigIgn):' "/proc/$pid/status"
    echo "Session:	$(awk '{print $6 " (leads it: " ($6 == $1 ? "yes" : "no") ", terminal: " ($7 == 0 ? "none" : $7) ")"}' "/proc/$pid/stat")"
    echo "Directory:	$(readlink "/proc/$pid/cwd")"
    for fd in "/proc/$pid/fd/"*; do
        echo "Descriptor:	${fd##*/} -> $(readlink "$fd")"
    done
}

say "1. A syslog daemon with a pid file, in Python"
run "$PYTHON" "$HERE/syslog_daemon.py" "$WORK/syslog.pid"
show "$WORK/syslog.pid"

say "2. The same once more: it runs already, so it is refused before anything happens"
run "$PYTHON" "$HERE/syslog_daemon.py" "$WORK/syslog.pid" 2>&1 | tail -n 2

say "3. The ten-line daemon in C"
run cc -Wall -Wextra "$HERE/hello.c" -o "$WORK/hello" -I"$HERE/../include" -L"$LIBDIR" -ldaemonctx -Wl,-rpath,"$LIBDIR"
run "$WORK/hello"
show /tmp/hello.pid

say "4. A start that fails after the fork, because its port is taken: the truth reaches whoever started it"
"$PYTHON" - "$WORK/port" <<'PYTHON' &
import socket, sys, time
server = socket.create_server(("127.0.0.1", 0))
with open(sys.argv[1] + ".tmp", "w") as port:
    port.write(str(server.getsockname()[1]))
import os
os.rename(sys.argv[1] + ".tmp", sys.argv[1])
time.sleep(60)
PYTHON
holder=$!
while [ ! -e "$WORK/port" ]; do sleep 0.05; done
run "$PYTHON" "$HERE/taken_port.py" "$WORK/port.pid" "$(cat "$WORK/port")"
kill "$holder"
[ ! -e "$WORK/port.pid" ] && echo "and nothing is left of it"

say "5. Stopping: SIGTERM, and back when the process is gone"
run "$PYTHON" "$HERE/control.py" stop "$WORK/syslog.pid"
run "$PYTHON" "$HERE/control.py" stop /tmp/hello.pid
run "$PYTHON" "$HERE/control.py" status "$WORK/syslog.pid"
