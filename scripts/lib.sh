# shellcheck shell=bash
# What the scripts share: where the checkout is, how they speak, and which Node they run.

root=$(dirname "$(dirname "$(realpath "${BASH_SOURCE[0]}")")")
me=$(basename "$0")

# cron, sudo and `env -i` leave little of PATH; ip, nft and tcpdump live in the sbin directories.
PATH=${PATH:-/usr/local/bin:/usr/bin:/bin}:/usr/local/sbin:/usr/sbin:/sbin
export PATH

say() { printf '%s: %s\n' "$me" "$*"; }
warn() { printf '%s: %s\n' "$me" "$*" >&2; }
die() {
  warn "$@"
  exit 1
}

is_root() { [ "$EUID" -eq 0 ]; }

# Major version of the Node at $1; nothing if it does not run.
node_major() {
  local version
  version=$("$1" --version 2>/dev/null) || return 0
  version=${version#v}
  echo "${version%%.*}"
}

# Nodes in the order in which they are tried. sudo drops the PATH that nvm made, so nvm's are looked
# for in the home of the user who called sudo.
node_candidates() {
  command -v node || true
  local user_home=${HOME:-}
  if [ -n "${SUDO_USER:-}" ]; then user_home=$(getent passwd "$SUDO_USER" | cut -d: -f6); fi
  printf '%s\n' "${NVM_DIR:-/nonexistent}"/versions/node/*/bin/node \
    "$user_home"/.nvm/versions/node/*/bin/node | sort -rV
}

# Sets $node to a Node of 20 or newer and puts it first in PATH, for npm and for children.
find_node() {
  local candidate major seen=none
  if [ -n "${WEFT_NODE:-}" ]; then
    major=$(node_major "$WEFT_NODE")
    [ "${major:-0}" -ge 20 ] ||
      die "WEFT_NODE=$WEFT_NODE is not a Node 20 or newer (found: ${major:-none}); name another one"
    node=$WEFT_NODE
  else
    while read -r candidate; do
      major=$(node_major "$candidate")
      if [ "${major:-0}" -ge 20 ]; then
        node=$candidate
        break
      fi
      [ -z "$major" ] || seen="$major, $candidate"
    done < <(node_candidates)
    [ -n "${node:-}" ] || die "weft needs Node 20 or newer (found: $seen);" \
      "install it from https://nodejs.org or with nvm, or name one with WEFT_NODE=/path/to/node"
  fi
  PATH=$(dirname "$node"):$PATH
}

# Gives what root made in somebody's checkout to its owner: `sudo scripts/setup` must not leave
# files behind that the user's own npm or tsc then fails on.
give_back() {
  is_root || return 0
  local owner path
  owner=$(stat -c %u:%g "$root")
  [ "${owner%%:*}" != 0 ] || return 0
  for path in node_modules test/node_modules dist native/build .tap; do
    [ ! -e "$root/$path" ] || chown -R --no-dereference "$owner" "$root/$path"
  done
}
