// The namespaces that a sandbox consists of: unshare, setns, mounts, lo.
#include "namespaces.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

namespace weft {
namespace {

// Replaces what is mounted at `path` by what `type` shows of the new namespaces.
Error Remount(const char* type, const char* path) {
  // Only covering the old tree would leave its mounts in the sandbox's mount table.
  umount2(path, MNT_DETACH);
  if (mount(type, path, type, MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) != 0) {
    return Error::FromErrno(kInternal, "mount %s at %s", type, path);
  }
  return {};
}

}  // namespace

Error BringLoopbackUp() {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  ifreq request = {};
  memcpy(request.ifr_name, "lo", sizeof("lo"));
  request.ifr_flags = IFF_UP;
  Error error;
  if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request) != 0) {
    error = Error::FromErrno(kInternal, "lo up");
  }
  if (fd >= 0) close(fd);
  return error;
}

Error MakeSandbox(const char* hostname) {
  if (unshare(CLONE_NEWNET | CLONE_NEWNS) != 0) {
    return Error::FromErrno(kInternal, "unshare network and mounts");
  }
  // A slave: what is mounted here stays here, and what the host unmounts (a namespace under
  // /run/netns, say) does not live on because of this copy.
  if (mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0) {
    return Error::FromErrno(kInternal, "make mounts private");
  }
  if (Error error = Remount("proc", "/proc")) return error;
  if (Error error = Remount("sysfs", "/sys")) return error;
  if (Error error = BringLoopbackUp()) return error;
  return TakeHostname(hostname);
}

Error JoinNetwork(const char* path) {
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    return Error::FromErrno(errno == ENOENT ? kNotFound : kInvalidArgument, "%s", path);
  }
  if (setns(fd, CLONE_NEWNET) != 0) {
    return Error::FromErrno(kInvalidArgument, "%s is no network namespace to join", path);
  }
  close(fd);
  return {};
}

Error TakeHostname(const char* hostname) {
  if (unshare(CLONE_NEWUTS) != 0) return Error::FromErrno(kInternal, "unshare UTS");
  if (sethostname(hostname, strlen(hostname)) != 0) {
    return Error::FromErrno(kInvalidArgument, "hostname %s", hostname);
  }
  return {};
}

}  // namespace weft
