// The control socket: bind, accept, SCM_RIGHTS.
#include "control.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace weft {
namespace {

// Is nobody listening behind this socket file?
bool IsAbandoned(const sockaddr_un& address) {
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  const bool refused =
      connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 &&
      errno == ECONNREFUSED;
  close(fd);
  return refused;
}

bool Bind(int fd, const sockaddr_un& address) {
  // Only the owner may connect, from the first moment on.
  const mode_t previous = umask(0177);
  const auto* generic = reinterpret_cast<const sockaddr*>(&address);
  bool bound = bind(fd, generic, sizeof(address)) == 0;
  if (!bound && errno == EADDRINUSE && IsAbandoned(address)) {
    unlink(address.sun_path);
    bound = bind(fd, generic, sizeof(address)) == 0;
  }
  umask(previous);
  return bound;
}

}  // namespace

Error ControlSocket::Open(Poller* poller, const char* path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  const size_t length = strlen(path);
  if (length >= sizeof(address.sun_path)) {
    return Error::Of(kInvalidArgument, "%s: a socket's path has at most %zu characters", path,
                     sizeof(address.sun_path) - 1);
  }
  memcpy(address.sun_path, path, length);
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return Error::FromErrno(kInternal, "socket");
  if (!Bind(fd, address) || listen(fd, SOMAXCONN) != 0) {
    Error error = Error::FromErrno(kInternal, "listen at %s", path);
    close(fd);
    return error;
  }
  path_ = path;
  listener_.Open(poller, fd, Wake::kListener, 0);
  AcceptMore(true);
  return {};
}

void ControlSocket::AcceptMore(bool on) { listener_.WaitFor(on ? uint32_t{EPOLLIN} : 0); }

int ControlSocket::Accept() const {
  return accept4(listener_.fd(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

void ControlSocket::Close() {
  unlink(path_);
  listener_.Close();
}

bool SendDescriptor(int socket, int fd) {
  char text[] = "ok\n";
  iovec part = {text, sizeof(text) - 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(fd))] = {};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(fd));
  memcpy(CMSG_DATA(header), &fd, sizeof(fd));
  return sendmsg(socket, &message, MSG_NOSIGNAL) == static_cast<ssize_t>(part.iov_len);
}

}  // namespace weft
