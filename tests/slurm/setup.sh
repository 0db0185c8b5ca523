#!/usr/bin/env bash
# A Slurm of one node with two pretended GPUs, for the tests: `setup.sh start` and `setup.sh stop`.
# Needs root, and Debian's packages unless Slurm is there. All files lie in a folder of its own but for
# two links in /etc/slurm: Snakemake's plugin hands no SLURM_CONF on to its job steps, so that only
# the usual place is found. Where another Slurm is configured there, nothing is done.
set -euo pipefail

FOLDER=${SSCDL_SLURM:-/var/tmp/sscdl-slurm}
ETC=/etc/slurm
MUNGE_SOCKET=$FOLDER/munge/socket

say() { echo "slurm: $*" >&2; }

# Not being able to have a Slurm is no fault of the workflow: the tests then skip and say so.
give_up() {
    say "$*; the tests that need Slurm will be skipped"
    exit 0
}

refuse_beside_another() {
    [ ! -e "$ETC/slurm.conf" ] || [ "$(readlink "$ETC/slurm.conf")" = "$FOLDER/slurm.conf" ] ||
        give_up "$ETC/slurm.conf belongs to another Slurm"
}

install_packages() {
    command -v slurmctld >/dev/null && command -v slurmd >/dev/null && command -v munged >/dev/null && return
    command -v apt-get >/dev/null || give_up "not installed, and this is no Debian"
    say "installing Debian's packages"
    export DEBIAN_FRONTEND=noninteractive
    local packages=(slurmctld slurmd slurm-client munge)
    apt-get install --yes --quiet --no-install-recommends "${packages[@]}" >"$FOLDER/apt.log" 2>&1 ||
        { apt-get update --quiet && apt-get install --yes --quiet --no-install-recommends "${packages[@]}"; } \
            >>"$FOLDER/apt.log" 2>&1 ||
        give_up "the packages cannot be installed (see $FOLDER/apt.log)"
}

write_configuration() {
    cat >"$FOLDER/slurm.conf" <<END
ClusterName=sscdl
SlurmctldHost=localhost
SlurmctldPort=16817
SlurmdPort=16818
AuthType=auth/munge
AuthInfo=socket=$MUNGE_SOCKET
CredType=cred/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation=$FOLDER/state
SlurmdSpoolDir=$FOLDER/spool
SlurmctldLogFile=$FOLDER/slurmctld.log
SlurmdLogFile=$FOLDER/slurmd.log
SlurmctldPidFile=$FOLDER/slurmctld.pid
SlurmdPidFile=$FOLDER/slurmd.pid
# Without cgroups, so that it runs inside a container, too.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
ReturnToService=2
# Time limits hold at once, and squeue remembers finished jobs for as long as a test takes.
OverTimeLimit=0
KillWait=5
MinJobAge=600
SchedulerParameters=sched_interval=5,bf_interval=5
# Memory and cores are pretended, too: the profile asks for what real studies need, and most of a
# test's time is start-up.
SlurmdParameters=config_overrides
NodeName=localhost CPUs=4 RealMemory=128000 Gres=gpu:2 State=UNKNOWN
PartitionName=main Nodes=localhost Default=YES MaxTime=INFINITE State=UP
PartitionName=other Nodes=localhost MaxTime=INFINITE State=UP
END
    # A count without files is refused.
    printf 'Name=gpu File=%s\n' /dev/null /dev/zero >"$FOLDER/gres.conf"
    mkdir -p "$ETC"
    ln -sf "$FOLDER/slurm.conf" "$FOLDER/gres.conf" "$ETC/"
}

start_munge() {
    munge --no-input --socket "$MUNGE_SOCKET" >/dev/null 2>&1 && return
    [ -s "$FOLDER/munge/key" ] || (umask 077 && head -c 1024 /dev/urandom >"$FOLDER/munge/key")
    # It objects to folders that others may write to, such as the one that ours lies in.
    munged --force --key-file "$FOLDER/munge/key" --socket "$MUNGE_SOCKET" \
        --pid-file "$FOLDER/munge/pid" --log-file "$FOLDER/munge/log" --seed-file "$FOLDER/munge/seed" \
        2>"$FOLDER/munge/start.log"
}

idle() { timeout 10 sinfo --noheader --format=%T 2>/dev/null | grep -qE '^(idle|mixed|allocated)'; }

start() {
    refuse_beside_another
    if idle; then
        say "is running"
        return
    fi
    [ "$(id -u)" = 0 ] || give_up "its daemons need root"
    mkdir -p "$FOLDER"
    install_packages
    stop
    mkdir -p "$FOLDER"/{munge,state,spool}
    write_configuration
    start_munge
    slurmctld
    slurmd -N localhost
    for _ in $(seq 60); do
        if idle; then
            say "ready"
            return
        fi
        sleep 0.5
    done
    say "did not start; the logs are in $FOLDER"
    tail -n 20 "$FOLDER/slurmctld.log" "$FOLDER/slurmd.log" >&2
    exit 1
}

# End the process whose number is in a file, if it is the program that wrote it.
end() {
    local pid
    pid=$(cat "$1" 2>/dev/null) || return 0
    [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "$2" ] || return 0
    kill "$pid"
    for _ in $(seq 40); do
        [ -d "/proc/$pid" ] || return 0
        sleep 0.25
    done
    kill -9 "$pid"
}

stop() {
    refuse_beside_another
    if idle; then scancel --quiet --user root || true; fi
    end "$FOLDER/slurmd.pid" slurmd
    end "$FOLDER/slurmctld.pid" slurmctld
    end "$FOLDER/munge/pid" munged
    # Jobs of an earlier Slurm are not to start again in the next.
    rm -rf "$FOLDER/state" "$FOLDER/spool"
    for name in slurm.conf gres.conf; do
        [ "$(readlink "$ETC/$name")" != "$FOLDER/$name" ] || rm "$ETC/$name"
    done
}

case "${1:-}" in
start) start ;;
stop) stop ;;
*)
    echo "usage: $0 start|stop" >&2
    exit 2
    ;;
esac
