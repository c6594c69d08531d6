#include "../io/underlay_socket.h"

#include <linux/sock_diag.h>
#include <netinet/udp.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "../wire/ecn.h"

namespace weft {

namespace {

// 8 MB, about 5000 full frames: what a TCP sender on 10 Gbit/s has under way while the worker waits
// for a core.
constexpr int kReceiveBuffer = 8 << 20;

// Sent one by one before a way that refused trains is tried again.
constexpr uint32_t kTrainsUntilRetry = 1000;
constexpr size_t kMostRefusals = 1024;
// UDP_MAX_SEGMENTS before Linux 6.9.
constexpr uint32_t kMaxTrainOfOldKernels = 64;

void SetReceiving(int fd) {
  const int buffer = kReceiveBuffer;
  if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof(buffer)) != 0) {
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(buffer));
  }
  // Best effort: without the one, datagrams come one by one; without the other, what the underlay
  // says of congestion is not heard.
  const int on = 1;
  setsockopt(fd, IPPROTO_UDP, UDP_GRO, &on, sizeof(on));
  setsockopt(fd, IPPROTO_IP, IP_RECVTOS, &on, sizeof(on));
}

}  // namespace

UnderlaySocket::UnderlaySocket(const SourcePorts& ports, uint16_t vxlan_port, bool copy_dscp)
    : ports_(ports),
      vxlan_port_(vxlan_port),
      copy_dscp_(copy_dscp),
      outgoing_(new Outgoing[TrainQueue::kTrains]),
      messages_(new mmsghdr[TrainQueue::kTrains]()),
      single_messages_(new mmsghdr[kMaxTrain]()),
      receive_buffers_(new uint8_t[size_t{kReceiveBatch} * kBufferSize]),
      receive_messages_(new mmsghdr[kReceiveBatch]()),
      receive_parts_(new iovec[kReceiveBatch]),
      incoming_(new Incoming[kReceiveBatch]()) {
  for (int i = 0; i < kReceiveBatch; i++) {
    receive_parts_[i] = {
        receive_buffers_.get() + size_t{kBufferSize} * static_cast<size_t>(i) + kHeadroom,
        kMaxFrame};
    msghdr& header = receive_messages_[i].msg_hdr;
    header.msg_iov = &receive_parts_[i];
    header.msg_iovlen = 1;
    header.msg_name = &incoming_[i].source;
    header.msg_control = incoming_[i].control;
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
  SetReceiving(fd_);
  sockaddr_in local{};
  local.sin_family = AF_INET;
  local.sin_addr.s_addr = address;
  local.sin_port = htons(vxlan_port_);
  return bind(fd_, reinterpret_cast<const sockaddr*>(&local), sizeof(local)) == 0;
}

void UnderlaySocket::Adopt(int fd) {
  fd_ = fd;
  SetReceiving(fd_);
}

void UnderlaySocket::Send(VtepAddress vtep, uint32_t vni, const PacketKey& key, Frame* frame,
                          Counters* counters) {
  vtep_ = vtep;
  port_index_ = ports_.IndexOf(SymmetricFlowHash(key));
  tos_ = OuterTrafficClass(*frame, key, copy_dscp_);
  counters_ = counters;
  const uint32_t count = EncapsulateAndCut(frame, key, vni, this);
  if (count == 0) counters->Add(Counter::drop_bad_offload);
  if (count > 1) counters->Add(Counter::superframes_cut);
}

uint8_t* UnderlaySocket::NextHead() {
  if (!queue_.HasRoom()) Flush(counters_);
  return queue_.NextHead();
}

void UnderlaySocket::Take(const Datagram& datagram) {
  // A datagram that brings its own head has not asked for one.
  if (!queue_.HasRoom()) Flush(counters_);
  queue_.Add(datagram, vtep_, port_index_, tos_);
}

void UnderlaySocket::Flush(Counters* counters) {
  queue_.ForEachSourcePort([&](uint32_t source_port_index, int first_train) {
    FlushSourcePort(source_port_index, first_train, counters);
  });
  queue_.Clear();
}

void UnderlaySocket::Address(const Train& train, bool cut, Outgoing* outgoing, msghdr* header) {
  outgoing->train = &train;
  outgoing->destination = {};
  outgoing->destination.sin_family = AF_INET;
  outgoing->destination.sin_addr.s_addr = train.vtep;
  outgoing->destination.sin_port = htons(vxlan_port_);
  *header = {};
  header->msg_name = &outgoing->destination;
  header->msg_namelen = sizeof(outgoing->destination);
  const auto put = [&](int level, int type, const void* value, size_t size) {
    auto* control = reinterpret_cast<cmsghdr*>(outgoing->control + header->msg_controllen);
    control->cmsg_level = level;
    control->cmsg_type = type;
    control->cmsg_len = CMSG_LEN(size);
    memcpy(CMSG_DATA(control), value, size);
    header->msg_control = outgoing->control;
    header->msg_controllen += CMSG_SPACE(size);
  };
  if (cut) {
    const auto size = static_cast<uint16_t>(train.segment);
    put(SOL_UDP, UDP_SEGMENT, &size, sizeof(size));
  }
  if (train.tos != 0) {
    const int tos = train.tos;
    put(IPPROTO_IP, IP_TOS, &tos, sizeof(tos));
  }
}

void UnderlaySocket::FlushSourcePort(uint32_t source_port_index, int first_train,
                                     Counters* counters) {
  const int fd = ports_.descriptor(source_port_index);
  int count = 0;
  const auto send = [&] {
    const auto sent = [&](int i) {
      const Train& train = *outgoing_[i].train;
      CountSent(train.count, train.bytes, counters);
      if (train.count > 1) counters->Add(Counter::trains_sent);
    };
    const auto refused = [&](int i, int error) {
      const Train& train = *outgoing_[i].train;
      const bool may_be_the_train = error == EIO || error == EINVAL || error == EMSGSIZE;
      if (train.count == 1 || !may_be_the_train) return CountDrop(error, train.count, counters);
      NoteRefusal(train, error);
      SendOneByOne(fd, train, counters);
    };
    SendAll(fd, messages_.get(), count, counters, sent, refused);
    count = 0;
  };
  for (int index = first_train; index >= 0; index = queue_.at(index).next) {
    Train& train = queue_.at(index);
    if (!MayTrain(train)) {
      send();  // what was to go before it
      SendOneByOne(fd, train, counters);
      continue;
    }
    msghdr& header = messages_[count].msg_hdr;
    Address(train, train.count > 1, &outgoing_[count], &header);
    header.msg_iov = train.parts;
    header.msg_iovlen = train.part_count;
    count++;
  }
  send();
}

template <typename Sent, typename Refused>
void UnderlaySocket::SendAll(int fd, mmsghdr* messages, int count, Counters* counters, Sent sent,
                             Refused refused) {
  int next = 0;
  while (next < count) {
    const int taken = sendmmsg(fd, &messages[next], static_cast<unsigned>(count - next), 0);
    counters->Add(Counter::system_calls);
    for (int i = 0; i < taken; i++) sent(next++);
    // The first of the rest was refused; what follows it is tried.
    if (taken < 0 && errno != EINTR) {
      const int error = errno;
      refused(next++, error);
    }
  }
}

void UnderlaySocket::SendOneByOne(int fd, const Train& train, Counters* counters) {
  Outgoing outgoing;
  msghdr header;
  Address(train, false, &outgoing, &header);
  int count = 0;
  uint32_t lengths[kMaxTrain];
  // Each datagram is one part or two, and all but the last are of one size.
  for (uint32_t part = 0; part < train.part_count; count++) {
    header.msg_iov = const_cast<iovec*>(&train.parts[part]);
    uint32_t& length = lengths[count] = 0;
    const uint32_t first = part;
    while (part < train.part_count && length < train.segment) {
      length += static_cast<uint32_t>(train.parts[part++].iov_len);
    }
    header.msg_iovlen = part - first;
    single_messages_[count].msg_hdr = header;
  }
  SendAll(
      fd, single_messages_.get(), count, counters,
      [&](int i) { CountSent(1, lengths[i], counters); },
      [&](int, int error) { CountDrop(error, 1, counters); });
}

void UnderlaySocket::CountSent(uint32_t datagrams, uint32_t bytes, Counters* counters) {
  counters->Add(Counter::underlay_tx_datagrams, datagrams);
  counters->Add(Counter::underlay_tx_bytes, bytes);
}

void UnderlaySocket::CountDrop(int error, uint32_t datagrams, Counters* counters) {
  switch (error) {
    case EAGAIN:
    case ENOBUFS:
      return counters->Add(Counter::drop_underlay_full, datagrams);
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENETDOWN:
      return counters->Add(Counter::drop_underlay_unreachable, datagrams);
    default:
      return counters->Add(Counter::drop_underlay_refused, datagrams);
  }
}

bool UnderlaySocket::MayTrain(const Train& train) {
  if (refusals_.empty() || train.count == 1) return true;
  const auto found = refusals_.find(train.vtep);
  if (found == refusals_.end() || train.segment < found->second.from_segment) return true;
  if (--found->second.trains_left == 0) refusals_.erase(found);
  return false;
}

void UnderlaySocket::NoteRefusal(const Train& train, int error) {
  if (error == EINVAL && train.count > kMaxTrainOfOldKernels) {
    queue_.set_most(kMaxTrainOfOldKernels);
    return;
  }
  if (refusals_.size() >= kMostRefusals) refusals_.clear();
  // EIO is about the device, whatever the size.
  refusals_[train.vtep] = {error == EIO ? 0 : train.segment, kTrainsUntilRetry};
}

uint64_t UnderlaySocket::KernelDrops() const {
  uint32_t info[SK_MEMINFO_VARS] = {};
  socklen_t size = sizeof(info);
  if (getsockopt(fd_, SOL_SOCKET, SO_MEMINFO, info, &size) != 0) return 0;
  return info[SK_MEMINFO_DROPS];
}

int UnderlaySocket::Receive(Arrival* arrivals, Counters* counters) {
  for (int i = 0; i < kReceiveBatch; i++) {
    msghdr& header = receive_messages_[i].msg_hdr;
    header.msg_namelen = sizeof(sockaddr_in);
    header.msg_controllen = sizeof(Incoming::control);
  }
  const int count = recvmmsg(fd_, receive_messages_.get(), kReceiveBatch, MSG_DONTWAIT, nullptr);
  counters->Add(Counter::system_calls);
  for (int i = 0; i < count; i++) {
    msghdr& header = receive_messages_[i].msg_hdr;
    int segment = 0;
    uint8_t tos = 0;
    for (cmsghdr* told = CMSG_FIRSTHDR(&header); told != nullptr;
         told = CMSG_NXTHDR(&header, told)) {
      if (told->cmsg_level == SOL_UDP && told->cmsg_type == UDP_GRO) {
        memcpy(&segment, CMSG_DATA(told), sizeof(segment));
      } else if (told->cmsg_level == IPPROTO_IP && told->cmsg_type == IP_TOS) {
        tos = *CMSG_DATA(told);
      }
    }
    arrivals[i] = ArrivalOf(
        static_cast<uint8_t*>(receive_parts_[i].iov_base), kHeadroom, receive_messages_[i].msg_len,
        segment > 0 ? static_cast<uint32_t>(segment) : 0, incoming_[i].source.sin_addr.s_addr, tos);
  }
  return count < 0 ? 0 : count;
}

}  // namespace weft
