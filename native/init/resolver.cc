// Sockets at 127.0.0.11, and mounts over /etc/resolv.conf.
#include "resolver.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "namespaces.h"

namespace weft {
namespace {

constexpr char kResolvConf[] = "/etc/resolv.conf";
constexpr uint32_t kResolverAddress = 0x7f00000b;  // 127.0.0.11, as docker's
constexpr uint16_t kDnsPort = 53;
// While no daemon runs, or it is busy.
constexpr int kBacklog = 128;

// <linux/mount.h> and glibc's <sys/mount.h> cannot be included together before glibc 2.37, and
// older ones have neither these nor wrappers.
constexpr unsigned kOpenTreeClone = 1;
constexpr unsigned kMoveMountFromEmptyPath = 0x04;
constexpr unsigned kMoveMountToSymlinks = 0x10;

Error OpenSocket(DnsProtocol protocol, int* out) {
  const bool tcp = protocol == DnsProtocol::kTcp;
  const int fd =
      socket(AF_INET, (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return Error::FromErrno(kInternal, "socket");
  const int on = 1;
  // A connection of an earlier holder may still be waiting for its end.
  if (tcp) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(kDnsPort);
  address.sin_addr.s_addr = htonl(kResolverAddress);
  if (bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 ||
      (tcp && listen(fd, kBacklog) != 0)) {
    const char* const name = tcp ? "TCP" : "UDP";
    Error error =
        errno == EADDRINUSE
            ? Error::Of(kAddressInUse, "%s 127.0.0.11:53 is in use in that namespace", name)
            : Error::FromErrno(kInternal, "%s 127.0.0.11:53", name);
    close(fd);
    return error;
  }
  *out = fd;
  return {};
}

// A mount of the file alone, at no place yet. Returns -1 with errno.
int CloneTree(int dir_fd) {
  return static_cast<int>(
      syscall(SYS_open_tree, dir_fd, "resolv.conf", kOpenTreeClone | unsigned{O_CLOEXEC}));
}

bool PutTree(int tree_fd) {
  return syscall(SYS_move_mount, tree_fd, "", AT_FDCWD, kResolvConf,
                 kMoveMountFromEmptyPath | kMoveMountToSymlinks) == 0;
}

Error MountError() {
  if (errno == ENOENT) return Error::Of(kNotFound, "there is no %s to mount over", kResolvConf);
  return Error::FromErrno(kInternal, "mount over %s", kResolvConf);
}

// Whether mount `id` passes mounts on to others, by a list as /proc/PID/mountinfo; true if it is
// not seen there.
bool IsShared(int mountinfo, uint64_t id) {
  // No heap in here; what is not reached of a longer list is not mounted over.
  static char text[256 << 10];
  size_t size = 0;
  for (ssize_t got; size < sizeof(text) - 1; size += static_cast<size_t>(got)) {
    got = read(mountinfo, text + size, sizeof(text) - 1 - size);
    if (got <= 0) break;
  }
  text[size] = '\0';
  for (char* line = text; *line != '\0';) {
    char* const end = strchrnul(line, '\n');
    char* const next = *end == '\0' ? end : end + 1;
    *end = '\0';
    if (strtoull(line, nullptr, 10) == id) {
      // Optional fields end with " - ".
      char* const fields_end = strstr(line, " - ");
      if (fields_end == nullptr) return true;
      *fields_end = '\0';
      return strstr(line, " shared:") != nullptr;
    }
    line = next;
  }
  return true;
}

// What the child in the other mount namespace came to.
enum ChildExit : int { kDone, kNoNamespace, kNoFile, kPropagates, kRefused };

[[noreturn]] void MountInChild(int tree_fd, int pidfd, int mountinfo) {
  if (setns(pidfd, CLONE_NEWNS) != 0) _exit(kNoNamespace);
  struct statx file;
  if (syscall(SYS_statx, AT_FDCWD, kResolvConf, 0, STATX_MNT_ID, &file) != 0) _exit(kNoFile);
  if ((file.stx_mask & STATX_MNT_ID) == 0 || IsShared(mountinfo, file.stx_mnt_id)) {
    _exit(kPropagates);
  }
  _exit(PutTree(tree_fd) ? kDone : kRefused);
}

// The exit status of a child; -1: it was killed.
int AwaitChild(pid_t child) {
  int status;
  while (waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) return -1;
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

// Whether the process is in our own mount namespace; true if that cannot be seen.
bool SharesMounts(pid_t pid) {
  char path[32];
  snprintf(path, sizeof(path), "/proc/%d/ns/mnt", pid);
  struct stat own;
  struct stat other;
  if (stat("/proc/self/ns/mnt", &own) != 0 || stat(path, &other) != 0) return true;
  return own.st_ino == other.st_ino && own.st_dev == other.st_dev;
}

}  // namespace

Error ResolverSockets::Get(DnsProtocol protocol, int* fd) {
  int& held = fds_[static_cast<int>(protocol)];
  if (held < 0) {
    // Without lo there is no 127.0.0.11, in a namespace that somebody made a moment ago.
    if (Error error = BringLoopbackUp()) return error;
    if (Error error = OpenSocket(protocol, &held)) return error;
  }
  *fd = held;
  return {};
}

void ResolverSockets::CloseAll() {
  for (int& fd : fds_) {
    if (fd >= 0) close(fd);
    fd = -1;
  }
}

Error ResolvConf::Mount(int dir_fd) {
  if (mounted_) return {};
  const int tree_fd = CloneTree(dir_fd);
  if (tree_fd < 0) return Error::FromErrno(kInternal, "resolv.conf of the sandbox");
  mounted_ = PutTree(tree_fd);
  Error error = mounted_ ? Error() : MountError();
  close(tree_fd);
  return error;
}

Error ResolvConf::MountFor(int dir_fd, int pidfd, pid_t pid) {
  if (mounted_) return {};
  if (SharesMounts(pid)) {
    return Error::Of(kUnavailable, "process %d sees the host's %s", pid, kResolvConf);
  }
  char path[32];
  snprintf(path, sizeof(path), "/proc/%d/mountinfo", pid);
  const int mountinfo = open(path, O_RDONLY | O_CLOEXEC);
  const int tree_fd = mountinfo < 0 ? -1 : CloneTree(dir_fd);
  const pid_t child = tree_fd < 0 ? -1 : fork();
  if (child == 0) MountInChild(tree_fd, pidfd, mountinfo);
  Error error = child < 0 ? Error::FromErrno(kInternal, "resolv.conf of process %d", pid) : Error();
  if (tree_fd >= 0) close(tree_fd);
  if (mountinfo >= 0) close(mountinfo);
  if (error) return error;
  switch (AwaitChild(child)) {
    case kDone:
      mounted_ = true;
      return {};
    case kNoFile:
      return Error::Of(kNotFound, "process %d has no %s to mount over", pid, kResolvConf);
    case kPropagates:
      return Error::Of(kUnavailable, "mounts of process %d are passed on to others", pid);
    default:
      return Error::Of(kInternal, "cannot mount over %s of process %d", kResolvConf, pid);
  }
}

void ResolvConf::UnmountFor(int pidfd) {
  if (!mounted_) return;
  mounted_ = false;
  const pid_t child = fork();
  if (child == 0) {
    // It fails when the process is gone, and its namespace with it.
    const bool done = setns(pidfd, CLONE_NEWNS) == 0 && umount2(kResolvConf, MNT_DETACH) == 0;
    _exit(done ? 0 : 1);
  }
  if (child > 0) AwaitChild(child);
}

}  // namespace weft
