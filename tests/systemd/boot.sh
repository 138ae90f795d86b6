#!/bin/sh
# Runs as PID 1 of namespaces of its own (guard.py): makes a root of its own and becomes systemd.
#
#     boot.sh LAYER
#
# The root is this machine's, with what LAYER holds on top; what is written goes to a tmpfs and ends with
# the namespace. Nothing here touches the machine's own mounts.
set -eu

layer=$1
work=/mnt # only here is it covered: the mount namespace is ours
root=$work/root

mount -t tmpfs -o mode=0755 tmpfs $work
mkdir $work/work $root
cp -a "$layer" $work/upper
mount -t overlay -o "lowerdir=/,upperdir=$work/upper,workdir=$work/work" overlay $root

mount -t proc -o nosuid,nodev,noexec proc $root/proc
mount --bind $root/proc/sys $root/proc/sys # the machine's own settings: not for it to change
mount -o remount,bind,ro $root/proc/sys
mount -t sysfs -o ro,nosuid,nodev,noexec sysfs $root/sys
if ! mountpoint -q $root/sys/fs/cgroup; then
	mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 $root/sys/fs/cgroup
fi

mount -t tmpfs -o mode=0755,nosuid tmpfs $root/dev
for device in null zero full random urandom tty; do
	: >$root/dev/$device
	mount --bind /dev/$device $root/dev/$device
done
mkdir $root/dev/pts $root/dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620 devpts $root/dev/pts
ln -s pts/ptmx $root/dev/ptmx
ln -s /proc/self/fd $root/dev/fd
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs $root/dev/shm
mount -t tmpfs -o mode=0755,nosuid,nodev tmpfs $root/run
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs $root/tmp

# Nothing of what this machine has enabled is started beside what the tests ask for.
rm -rf $root/etc/systemd/system/*.wants $root/var/log/journal
ln -sf /dev/null $root/etc/systemd/system/systemd-modules-load.service
: >$root/etc/machine-id # systemd makes one up
: >$root/etc/fstab

mkdir $root/run/old
cd $root
pivot_root . run/old
umount -l /run/old
rmdir /run/old
mount --make-rshared / # credentials come out empty else

exec env -i container=clerk-tokend-tests PATH=/usr/sbin:/usr/bin:/sbin:/bin \
	/lib/systemd/systemd --system --unit=basic.target --log-target=console --show-status=no
