#include "../io/kept_sockets.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

namespace weft {

namespace {

bool IsBoundTo(int fd, VtepAddress address, uint16_t port) {
  int type = 0;
  socklen_t size = sizeof(type);
  sockaddr_in local{};
  socklen_t local_size = sizeof(local);
  sockaddr_in peer{};
  socklen_t peer_size = sizeof(peer);
  return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_DGRAM &&
         getsockname(fd, reinterpret_cast<sockaddr*>(&local), &local_size) == 0 &&
         local.sin_family == AF_INET && local.sin_addr.s_addr == address &&
         local.sin_port == htons(port) &&
         // One that is connected was retired.
         getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &peer_size) != 0;
}

}  // namespace

std::vector<int> TakeKeptSockets(const std::vector<pid_t>& pids, VtepAddress address,
                                 uint16_t port) {
  std::vector<int> taken;
  std::vector<uint64_t> cookies;
  for (const pid_t pid : pids) {
    const auto pidfd = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
    if (pidfd < 0) continue;
    for (int number = kFirstKeptDescriptor; number < kFirstKeptDescriptor + kMostKept; number++) {
      const auto fd = static_cast<int>(syscall(SYS_pidfd_getfd, pidfd, number, 0));
      if (fd < 0) continue;
      uint64_t cookie = 0;
      socklen_t size = sizeof(cookie);
      const bool wanted = IsBoundTo(fd, address, port) &&
                          getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &size) == 0 &&
                          std::find(cookies.begin(), cookies.end(), cookie) == cookies.end();
      if (wanted) {
        taken.push_back(fd);
        cookies.push_back(cookie);
      } else {
        close(fd);
      }
    }
    close(pidfd);
  }
  return taken;
}

void RetireKeptSocket(int fd) {
  // A connected UDP socket gets datagrams from its peer only; nobody sends from port 1 of the
  // loopback.
  sockaddr_in nobody{};
  nobody.sin_family = AF_INET;
  nobody.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  nobody.sin_port = htons(1);
  connect(fd, reinterpret_cast<const sockaddr*>(&nobody), sizeof(nobody));
  close(fd);
}

}  // namespace weft
