#include "../io/tap_port.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>

#include "../io/coalescer.h"
#include "../io/virtio_net.h"
#include "../wire/transport.h"

// Since Linux 6.2; older headers do not name them.
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

namespace weft {

namespace {

// What the coalescer makes is the longest that there is.
constexpr uint32_t kMaxTail = kMaxCoalesced;

constexpr unsigned kTcpOffloads = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
constexpr unsigned kUdpOffloads =
    TUN_F_USO4 | TUN_F_USO6;  // the kernel takes them together or not at all

// Of a superframe: where its payload begins. The kernel copies that much into the packet's first
// piece, where its network code looks for headers; 0 lets it find them itself.
uint16_t HeaderLength(const Frame& frame) {
  if (!frame.offload.IsSuperframe() || !frame.offload.needs_checksum) return 0;
  const uint32_t start = frame.offload.checksum_start;
  if (frame.offload.gso == Gso::kUdp) return static_cast<uint16_t>(start + sizeof(UdpHeader));
  const auto* tcp = frame.Get<TcpHeader>(start);
  const uint32_t end = tcp == nullptr ? 0 : start + tcp->HeaderLength();
  return static_cast<uint16_t>(frame.Has(0, end) ? end : 0);
}

std::atomic<bool> takes_udp_superframes = true;

}  // namespace

bool TapPort::TakesUdpSuperframes() {
  return takes_udp_superframes.load(std::memory_order_relaxed);
}

TapPort* TapPort::Adopt(PortId id, int worker, int fd, std::string* error) {
  ifreq request{};
  if (ioctl(fd, TUNGETIFF, &request) != 0) {
    *error = std::string("not a TAP descriptor: ") + strerror(errno);
    return nullptr;
  }
  constexpr int kNeeded = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
  if ((request.ifr_flags & kNeeded) != kNeeded) {
    *error = "the TAP was not made with IFF_TAP, IFF_NO_PI and IFF_VNET_HDR";
    return nullptr;
  }
  int header_size = sizeof(VnetHeader);
  if (ioctl(fd, TUNSETVNETHDRSZ, &header_size) != 0) {
    *error = std::string("TUNSETVNETHDRSZ: ") + strerror(errno);
    return nullptr;
  }
  if (ioctl(fd, TUNSETOFFLOAD, kTcpOffloads | kUdpOffloads) != 0) {
    takes_udp_superframes.store(false, std::memory_order_relaxed);
    if (ioctl(fd, TUNSETOFFLOAD, kTcpOffloads) != 0) {
      *error = std::string("TUNSETOFFLOAD: ") + strerror(errno);
      return nullptr;
    }
  }
  const int flags = fcntl(fd, F_GETFL);
  if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) {
    *error = std::string("O_NONBLOCK: ") + strerror(errno);
    return nullptr;
  }
  return new TapPort(id, worker, fd);
}

TapPort::~TapPort() { close(fd_); }

Port::ReadResult TapPort::Read(uint8_t* buffer, uint32_t* length, Offload* offload) {
  VnetHeader header;
  const iovec parts[2] = {{&header, sizeof(header)}, {buffer + kHeadroom, kMaxFrame}};
  const ssize_t got = readv(fd_, parts, 2);
  if (got < 0) {
    // EBADFD: the interface was deleted under us. EIO: it is down, frames may come later.
    return errno == EBADFD || errno == ENODEV ? ReadResult::kGone : ReadResult::kEmpty;
  }
  if (got < static_cast<ssize_t>(sizeof(header))) return ReadResult::kBad;
  *length = static_cast<uint32_t>(got) - static_cast<uint32_t>(sizeof(header));
  return ToOffload(header, offload) ? ReadResult::kFrame : ReadResult::kBad;
}

Port::WriteResult TapPort::Write(const Frame& frame) {
  VnetHeader header = ToVnetHeader(frame.offload, HeaderLength(frame));
  iovec parts[2 + kMaxTail];
  parts[0] = {&header, sizeof(header)};
  parts[1] = {const_cast<uint8_t*>(frame.data()), frame.buffered()};
  const uint32_t tail = frame.tail_count();
  if (tail > kMaxTail) return WriteResult::kRefused;
  for (uint32_t i = 0; i < tail; i++) parts[2 + i] = frame.tail()[i];
  if (writev(fd_, parts, static_cast<int>(2 + tail)) >= 0) return WriteResult::kOk;
  switch (errno) {
    case EAGAIN:
    case ENOBUFS:
    case ENOMEM:
      return WriteResult::kFull;
    case EIO:
    case EBADFD:
    case ENODEV:
      return WriteResult::kDown;
    default:
      return WriteResult::kRefused;  // EINVAL: metadata that the kernel finds to contradict the
                                     // frame
  }
}

}  // namespace weft
