#!/bin/sh
# Install what Covey needs from the system's packages, only what is missing: `prerequisites.sh python|lab`.
set -eu
case "${1:-}" in
  python) wanted="python3-venv" ; test=$(python3 -c 'import venv, ensurepip' 2>/dev/null && echo have || true) ;;
  lab) wanted="iproute2 nftables iputils-ping procps wireguard-go wireguard-tools conntrack coturn"
       test=have
       for program in ip nft ping ps wireguard-go wg conntrack turnserver; do
         PATH="$PATH:/usr/sbin:/sbin" command -v "$program" >/dev/null || test=
       done ;;
  *) echo "usage: prerequisites.sh python|lab" >&2 ; exit 2 ;;
esac
[ -z "$test" ] || exit 0
sudo=; [ "$(id -u)" = 0 ] || sudo=sudo
command -v apt-get >/dev/null || { echo "Install these packages with your system's package manager: $wanted" >&2 ; exit 1 ; }
echo "installing: $wanted"
$sudo apt-get update -q >/dev/null
DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -q --no-install-recommends $wanted >/dev/null
