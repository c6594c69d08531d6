// The sandbox's interfaces: opening /dev/net/tun.
#include "tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "interface_option.h"

namespace weft {
namespace {

// What the kernel refuses in a name (dev_valid_name), and '%', which it would take as a template.
bool ValidName(const char* name) {
  const size_t length = strlen(name);
  if (length == 0 || length >= IFNAMSIZ) return false;
  if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) return false;
  return strpbrk(name, "/:% \t\v\f") == nullptr;
}

Error OpenTap(const char* name, int* out) {
  const int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return Error::FromErrno(kInternal, "open /dev/net/tun");
  ifreq request = {};
  strncpy(request.ifr_name, name, IFNAMSIZ - 1);
  // One queue, for one worker reads it. With IFF_MULTI_QUEUE the kernel would make 256, each with a
  // qdisc of its own when the interface comes up: 6.7 MB, and milliseconds under the lock of all
  // interfaces. EXCL: one that another holder made under this name is not to be joined.
  request.ifr_flags = static_cast<short>(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_TUN_EXCL);
  if (ioctl(fd, TUNSETIFF, &request) != 0) {
    Error error = Error::FromErrno(kInternal, "TUNSETIFF %s", name);
    if (if_nametoindex(name) != 0) {
      error = Error::Of(kInterfaceInUse, "interface %s exists already in the sandbox", name);
    }
    close(fd);
    return error;
  }
  // An overlay has no routers, and addresses come from records: the interface neither asks for
  // router advertisements nor believes one.
  SetInterfaceOption("ipv6", name, "accept_ra", '0');
  *out = fd;
  return {};
}

// False when the interface was deleted behind its descriptor.
bool Exists(int fd) {
  ifreq request = {};
  return ioctl(fd, TUNGETIFF, &request) == 0;
}

}  // namespace

TapTable::Tap* TapTable::Find(const char* name) {
  for (Tap& tap : taps_) {
    if (strcmp(tap.name, name) == 0) return &tap;
  }
  return nullptr;
}

Error TapTable::Get(const char* name, int* fd) {
  if (!ValidName(name)) return Error::Of(kInvalidArgument, "'%s' is no interface name", name);
  Tap* tap = Find(name);
  if (tap != nullptr && !Exists(tap->fd)) {
    close(tap->fd);
    tap->name[0] = '\0';
    tap = nullptr;
  }
  if (tap == nullptr) {
    tap = Find("");
    if (tap == nullptr) return Error::Of(kUnavailable, "%zu interfaces are open", kMaxTaps);
    if (Error error = OpenTap(name, &tap->fd)) return error;
    strncpy(tap->name, name, IFNAMSIZ - 1);
  }
  *fd = tap->fd;
  return {};
}

Error TapTable::Drop(const char* name) {
  Tap* tap = ValidName(name) ? Find(name) : nullptr;
  if (tap == nullptr) return Error::Of(kNotFound, "no interface '%s' is held here", name);
  close(tap->fd);
  tap->name[0] = '\0';
  return {};
}

void TapTable::CloseAll() {
  for (Tap& tap : taps_) {
    if (tap.name[0] == '\0') continue;
    close(tap.fd);
    tap.name[0] = '\0';
  }
}

}  // namespace weft
