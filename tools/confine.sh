#!/bin/sh
# Do what bubblewrap does, for those of its options that confine.py uses, when `unshare` starts it.
# The first two arguments: an interpreter, and whether to become a user of its own ("own").
# One command a line: `set -e` overlooks what fails before an `&&`.
set -e
new=/sys # the new root folder is built over this one: nothing that is shown lies in it
python=$1
ids=
if test "$2" = own; then
    user=$(stat -L -c %i /proc/self/ns/pid) # nobody else: its processes can be counted
    ids="--reuid=$user --regid=$user --clear-groups"
fi
shift 2
# 127.0.0.1 is off in a new network.
"$python" -I -S -c 'import fcntl, socket, struct
fcntl.ioctl(socket.socket(), 0x8914, struct.pack("16sh", b"lo", 1))  # SIOCSIFFLAGS, IFF_UP'

tmpfs() { # FOLDER SIZE
    mkdir -p "$new$1"
    mount -t tmpfs -o "mode=1777,nosuid,nodev,size=$2" tmpfs "$new$1"
}

bind() { # SOURCE TARGET OPTIONS
    if test -d "$1"; then
        mkdir -p "$new$2"
    elif ! test -e "$new$2"; then
        mkdir -p "$new${2%/*}"
        : >"$new$2"
    fi
    mount --bind "$1" "$new$2"
    mount -o "remount,bind,$3" "$new$2"
}

mount -t tmpfs -o mode=755,nosuid,nodev,size=1m tmpfs "$new"
size=1m
while test "$1" != --; do
    case $1 in
    --size) size=$2 ;;
    --tmpfs)
        tmpfs "$2" "$size"
        size=1m
        ;;
    --ro-bind*)
        if test "$1" = --ro-bind || test -e "$2"; then bind "$2" "$3" ro,nosuid,nodev; fi
        shift
        ;;
    --remount-ro) mount -o remount,bind,ro "$new$2" ;;
    --proc)
        mkdir -p "$new$2"
        mount -t proc -o nosuid,nodev proc "$new$2"
        ;;
    --dev)
        tmpfs "$2" 1m
        for name in null zero full random urandom; do bind /dev/$name "$2/$name" nosuid; done
        ln -s /proc/self/fd "$new$2/fd"
        ln -s pts/ptmx "$new$2/ptmx"
        mkdir "$new$2/pts"
        mount -t devpts -o newinstance,ptmxmode=0666,mode=620,nosuid devpts "$new$2/pts"
        tmpfs "$2/shm" 64m
        ;;
    --chdir) start=$2 ;;
    *) exit 2 ;;
    esac
    shift 2
done
shift
cd "$new"
pivot_root . .
umount -l . # the old root, which now lies upon the new one
cd "$start"
# Not by exec: the first process of a namespace buries the others.
setpriv $ids --inh-caps=-all --bounding-set=-all --no-new-privs -- "$@"
