#!/bin/sh
# Inside the kernel of its own, on this machine's files: what a booted system has, then the command, then off.
folder=$1
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8
mount -t sysfs sys /sys
mount -t cgroup2 cgroup /sys/fs/cgroup 2>/dev/null
mount -t tmpfs run /run
case $folder in /tmp/*) ;; *) mount -t tmpfs tmp /tmp && chmod 1777 /tmp ;; esac
mount -t tmpfs shm /dev/shm
mount -t devpts pts /dev/pts
mkdir -p /etc/netns
hostname covey-lab
ip link set lo up
if [ -e "$folder/modules" ]; then
  mkdir -p /lib/modules /dev/net
  mount -t tmpfs modules /lib/modules
  ln -s "$(cat "$folder/modules")" "/lib/modules/$(uname -r)"
  modprobe tun
  modprobe wireguard
fi
echo "kernel $(uname -r), $(nproc) virtual processors, $(awk '/MemTotal/ {print int($2 / 1024)}' /proc/meminfo) MB"
sh "$folder/command.sh"
echo $? >"$folder/exit-code"
sync
echo o >/proc/sysrq-trigger
sleep 60
