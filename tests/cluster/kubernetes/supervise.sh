#!/bin/bash
# Keep a daemon running as a machine's init would, and end it when whoever started this ends: supervise.sh NAME COMMAND…
# Its process id is in $STATE/pid/NAME, what it says in $STATE/log/NAME.log.
name=$1
shift
trap 'kill "$pid"; wait "$pid"; exit' TERM
while true; do
    setpriv --pdeathsig KILL "$@" >>"$STATE/log/$name.log" 2>&1 </dev/null &
    pid=$!
    echo "$pid" >"$STATE/pid/$name"
    wait "$pid" 2>/dev/null # a kill is no news
    sleep 0.2
done
