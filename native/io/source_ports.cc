#include "../io/source_ports.h"

#include <linux/filter.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace weft {

namespace {

// 4 MB: 64 superframes, more than a batch can produce before the kernel gets to send; FORCE because
// the usual limit (net.core.wmem_max) is 208 KB.
constexpr int kSendBuffer = 4 << 20;

int OpenSocket(VtepAddress address, uint32_t port) {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -1;
  sockaddr_in local{};
  local.sin_family = AF_INET;
  local.sin_addr.s_addr = address;
  local.sin_port = htons(static_cast<uint16_t>(port));
  // These sockets only send: a filter that accepts no byte keeps strangers' datagrams out of their
  // queues.
  sock_filter nothing[] = {{BPF_RET | BPF_K, 0, 0, 0}};
  const sock_fprog program{1, nothing};
  // WANT: DF as long as the path allows the size; when it does not, fragment the outer packet
  // rather than lose it.
  const int discover = IP_PMTUDISC_WANT;
  const int buffer = kSendBuffer;
  if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) != 0 ||
      setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &discover, sizeof(discover)) != 0 ||
      bind(fd, reinterpret_cast<const sockaddr*>(&local), sizeof(local)) != 0) {
    const int why = errno;
    close(fd);
    errno = why;
    return -1;
  }
  if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof(buffer)) != 0) {
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));
  }
  return fd;
}

}  // namespace

void SourcePorts::Close() {
  for (const int fd : descriptors_) close(fd);
  descriptors_.clear();
}

bool SourcePorts::Open(VtepAddress address, std::string* error) {
  for (uint32_t port = kFirstPort; port <= 65535 && descriptors_.size() < kPorts; port++) {
    const int fd = OpenSocket(address, port);
    if (fd >= 0) {
      descriptors_.push_back(fd);
    } else if (errno != EADDRINUSE) {
      *error = std::string("cannot open a socket to send from: ") + strerror(errno);
      return false;
    }
  }
  if (descriptors_.size() < kPorts) {
    *error = "too few free UDP ports from 49152 up to send from";
    return false;
  }
  return true;
}

}  // namespace weft
