#!/bin/sh
# Install what Covey needs from the system's packages, and only what is missing.
#
#   prerequisites.sh python   a Python >= 3.11 that can make virtual environments; prints its path on stdout
#   prerequisites.sh lab      what the laboratory, the demonstration and the benches run
#   prerequisites.sh desktop  a screen, a window manager, a tray and a browser: what the tests of the tray run
#   prerequisites.sh kernel-qemu  a virtual machine that boots a kernel of its own: `make lab-kernel` where there is KVM (x86-64)
#   prerequisites.sh kernel-uml   what compiles user-mode Linux: `make lab-kernel` where there is none (x86-64)
#   prerequisites.sh ci       all but the kernels, and make
set -eu
PATH="$PATH:/usr/sbin:/sbin"
LAB_PACKAGES="iproute2 nftables iputils-ping procps wireguard-go wireguard-tools conntrack coturn miniupnpd-nftables"
LAB_PROGRAMS="ip ss nft ping ps wireguard-go wg conntrack turnserver miniupnpd"
DESKTOP_PACKAGES="xvfb openbox trayer xdotool chromium dbus dbus-x11 imagemagick x11-utils xauth fonts-dejavu-core
  libegl1 libgl1 libxkbcommon-x11-0 libxcb-cursor0 libxcb-icccm4 libxcb-image0 libxcb-keysyms1 libxcb-render-util0 libxcb-shape0 libxcb-xinerama0 libdbus-1-3"
QEMU_PACKAGES="qemu-system-x86 busybox-static kmod"
QEMU_PROGRAMS="qemu-system-x86_64 busybox depmod"
UML_PACKAGES="make gcc libc6-dev flex bison bc xz-utils bzip2 util-linux"
UML_PROGRAMS="make gcc flex bison bc xz bzip2 pivot_root"
DESKTOP_PROGRAMS="Xvfb openbox trayer xdotool chromium dbus-daemon import"

say() { echo "$*" >&2; }

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"
  elif command -v sudo >/dev/null; then sudo "$@"
  else say "This needs root: $*"; exit 1
  fi
}

install() {
  command -v apt-get >/dev/null || { say "Install these with your system's package manager: $*"; exit 1; }
  say "installing: $*"
  log=$(mktemp)
  # A package that brings a daemon (coturn) must not start it: it would hold port 3478 and face the network.
  quiet=
  if [ ! -e /usr/sbin/policy-rc.d ]; then
    quiet=/usr/sbin/policy-rc.d
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$quiet" >/dev/null
    as_root chmod 755 "$quiet"
  fi
  installed=yes
  as_root apt-get update -q >"$log" 2>&1 </dev/null || say "apt-get update had trouble; trying with the lists that are here"
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@" >>"$log" 2>&1 </dev/null || installed=
  [ -z "$quiet" ] || as_root rm -f "$quiet"
  if [ -z "$installed" ]; then
    tail -n 20 "$log" >&2
    say "apt-get could not install: $*"
    exit 1
  fi
  rm -f "$log"
}

usable() { "$1" -c 'import sys, venv, ensurepip; assert sys.version_info >= (3, 11); print(sys.executable)' 2>/dev/null </dev/null; }

find_python() {
  for name in ${PYTHON:-} python3 /usr/bin/python3 python3.13 python3.12 python3.11; do
    if command -v "$name" >/dev/null && usable "$name"; then return; fi
  done
  return 1
}

need_python() {
  find_python && return
  install python3 python3-venv
  find_python || { say "Covey needs Python 3.11 or newer with the venv module; this system's is older. Set PYTHON to one that fits."; exit 1; }
}

need_lab() {
  for program in $LAB_PROGRAMS; do
    command -v "$program" >/dev/null && continue
    had_coturn=$(command -v turnserver || true)
    install $LAB_PACKAGES
    if [ -z "$had_coturn" ] && [ -d /run/systemd/system ]; then as_root systemctl disable --now --quiet coturn || true; fi
    return
  done
}

need_desktop() {
  for program in $DESKTOP_PROGRAMS; do
    command -v "$program" >/dev/null && continue
    install $DESKTOP_PACKAGES
    return
  done
}

need_qemu() {
  for program in $QEMU_PROGRAMS; do
    command -v "$program" >/dev/null && continue
    install $QEMU_PACKAGES
    return
  done
}

need_uml() {
  for program in $UML_PROGRAMS; do
    command -v "$program" >/dev/null && continue
    install $UML_PACKAGES
    return
  done
}

case "${1:-}" in
  python) need_python ;;
  lab) need_lab ;;
  desktop) need_desktop ;;
  kernel-qemu) need_qemu ;;
  kernel-uml) need_uml ;;
  ci) command -v make >/dev/null || install make
      need_python >/dev/null
      need_lab
      need_desktop ;;
  *) say "usage: prerequisites.sh python|lab|desktop|kernel-qemu|kernel-uml|ci"; exit 2 ;;
esac
