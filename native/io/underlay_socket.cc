#include "../io/underlay_socket.h"

#include <linux/sock_diag.h>
#include <unistd.h>

#include <cerrno>

namespace weft {

namespace {

// 8 MB, about 5000 full frames: what a TCP sender on 10 Gbit/s has under way while the worker waits
// for a core.
constexpr int kReceiveBuffer = 8 << 20;

}  // namespace

UnderlaySocket::UnderlaySocket(const SourcePorts& ports, uint16_t vxlan_port)
    : ports_(ports),
      vxlan_port_(vxlan_port),
      slots_(new Slot[kSendBatch]),
      messages_(new mmsghdr[kSendBatch]()),
      receive_buffers_(new uint8_t[size_t{kReceiveBatch} * kBufferSize]),
      receive_messages_(new mmsghdr[kReceiveBatch]()),
      receive_parts_(new iovec[kReceiveBatch]),
      receive_sources_(new sockaddr_in[kReceiveBatch]()) {
  for (int i = 0; i < kReceiveBatch; i++) {
    receive_parts_[i] = {
        receive_buffers_.get() + size_t{kBufferSize} * static_cast<size_t>(i) + kHeadroom,
        kMaxFrame};
    msghdr& header = receive_messages_[i].msg_hdr;
    header.msg_iov = &receive_parts_[i];
    header.msg_iovlen = 1;
    header.msg_name = &receive_sources_[i];
  }
}

UnderlaySocket::~UnderlaySocket() {
  if (fd_ >= 0) close(fd_);
}

bool UnderlaySocket::Open(VtepAddress address) {
  fd_ = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd_ < 0) return false;
  const int on = 1;
  setsockopt(fd_, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
  const int buffer = kReceiveBuffer;
  if (setsockopt(fd_, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof(buffer)) != 0) {
    setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(buffer));
  }
  sockaddr_in local{};
  local.sin_family = AF_INET;
  local.sin_addr.s_addr = address;
  local.sin_port = htons(vxlan_port_);
  return bind(fd_, reinterpret_cast<const sockaddr*>(&local), sizeof(local)) == 0;
}

void UnderlaySocket::Send(VtepAddress vtep, uint32_t vni, const PacketKey& key, Frame* frame,
                          Counters* counters) {
  vtep_ = vtep;
  port_index_ = ports_.IndexOf(SymmetricFlowHash(key));
  counters_ = counters;
  const uint32_t count = EncapsulateAndCut(frame, key, vni, this);
  if (count == 0) counters->Add(Counter::drop_bad_offload);
  if (count > 1) counters->Add(Counter::superframes_cut);
}

uint8_t* UnderlaySocket::NextHead() {
  if (queued_ == kSendBatch) Flush(counters_);
  return slots_[queued_].head;
}

void UnderlaySocket::Take(const Datagram& datagram) {
  Slot& slot = slots_[queued_];
  slot.parts[0] = {datagram.head, datagram.head_length};
  slot.parts[1] = {const_cast<uint8_t*>(datagram.body), datagram.body_length};
  slot.destination = {};
  slot.destination.sin_family = AF_INET;
  slot.destination.sin_addr.s_addr = vtep_;
  slot.destination.sin_port = htons(vxlan_port_);
  slot.port_index = port_index_;
  msghdr& header = messages_[queued_].msg_hdr;
  header = {};
  header.msg_name = &slot.destination;
  header.msg_namelen = sizeof(slot.destination);
  header.msg_iov = slot.parts;
  header.msg_iovlen = 2;
  messages_[queued_].msg_len = 0;
  queued_++;
}

void UnderlaySocket::Flush(Counters* counters) {
  int next = 0;
  while (next < queued_) {
    // One system call for each run of datagrams that leave by the same socket; a flow always leaves
    // by the same, so its order is kept.
    const uint32_t index = slots_[next].port_index;
    int end = next + 1;
    while (end < queued_ && slots_[end].port_index == index) end++;
    const int sent =
        sendmmsg(ports_.descriptor(index), &messages_[next], static_cast<unsigned>(end - next), 0);
    if (sent > 0) {
      uint64_t bytes = 0;
      for (int i = next; i < next + sent; i++) bytes += messages_[i].msg_len;
      counters->Add(Counter::underlay_tx_datagrams, static_cast<uint64_t>(sent));
      counters->Add(Counter::underlay_tx_bytes, bytes);
      next += sent;
      continue;
    }
    // The first datagram of the run was refused: it is dropped, the rest is tried.
    switch (errno) {
      case EINTR:
        continue;
      case EAGAIN:
      case ENOBUFS:
        counters->Add(Counter::drop_underlay_full);
        break;
      case ENETUNREACH:
      case EHOSTUNREACH:
      case ENETDOWN:
        counters->Add(Counter::drop_underlay_unreachable);
        break;
      default:
        counters->Add(Counter::drop_underlay_refused);
        break;
    }
    next++;
  }
  queued_ = 0;
}

uint64_t UnderlaySocket::KernelDrops() const {
  uint32_t info[SK_MEMINFO_VARS] = {};
  socklen_t size = sizeof(info);
  if (getsockopt(fd_, SOL_SOCKET, SO_MEMINFO, info, &size) != 0) return 0;
  return info[SK_MEMINFO_DROPS];
}

int UnderlaySocket::Receive(Received* received) {
  for (int i = 0; i < kReceiveBatch; i++) {
    receive_messages_[i].msg_hdr.msg_namelen = sizeof(sockaddr_in);
  }
  const int count = recvmmsg(fd_, receive_messages_.get(), kReceiveBatch, MSG_DONTWAIT, nullptr);
  for (int i = 0; i < count; i++) {
    received[i].buffer = static_cast<uint8_t*>(receive_parts_[i].iov_base) - kHeadroom;
    received[i].length = receive_messages_[i].msg_len;
    received[i].source = receive_sources_[i].sin_addr.s_addr;
  }
  return count < 0 ? 0 : count;
}

}  // namespace weft
