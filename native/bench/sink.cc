#include "sink.h"

#include <linux/sock_diag.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

#include "address.h"
#include "clock.h"
#include "failure.h"
#include "probe.h"
#include "report.h"

namespace weft {

namespace {

// 64 MB: a sink that waits for a core must not be what loses (the kernel doubles it).
constexpr int kReceiveBuffer = 32 << 20;
constexpr int kBatch = 64;
constexpr size_t kBufferSize = 1 << 16;
// A flow's memory is 8 KB.
constexpr uint32_t kMostFlows = 4096;
constexpr suseconds_t kTickUs = 20'000;

uint64_t SocketDrops(int fd) {
  uint32_t memory[SK_MEMINFO_VARS] = {};
  socklen_t length = sizeof(memory);
  if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, memory, &length) != 0) return 0;
  return memory[SK_MEMINFO_DROPS];
}

uint64_t ReceiveBuffer(int fd) {
  int bytes = 0;
  socklen_t length = sizeof(bytes);
  getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, &length);
  return static_cast<uint64_t>(bytes);
}

}  // namespace

Sink::Sink(const SinkOptions& options) : options_(options) {}

Sink::~Sink() {
  if (fd_ >= 0) close(fd_);
}

int Sink::Run() {
  if (!Open()) return FailWithErrno("cannot bind the port");
  if (options_.progress) fprintf(stderr, "listening on port %d\n", options_.port);
  ReceiveAll();
  PrintReport();
  if (first_ns_ == 0) return Fail("no datagram came");
  if (flows_.size() < options_.expect_flows) return Fail("fewer flows came than were expected");
  return kDone;
}

bool Sink::Open() {
  fd_ = BindAnywhere(SOCK_DGRAM, options_.port);
  if (fd_ < 0) return false;
  if (setsockopt(fd_, SOL_SOCKET, SO_RCVBUFFORCE, &kReceiveBuffer, sizeof(kReceiveBuffer)) != 0) {
    setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &kReceiveBuffer, sizeof(kReceiveBuffer));
  }
  const timeval tick{0, kTickUs};
  return setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &tick, sizeof(tick)) == 0;
}

void Sink::ReceiveAll() {
  std::vector<uint8_t> buffers(kBatch * kBufferSize);
  iovec parts[kBatch];
  sockaddr_storage sources[kBatch];
  mmsghdr messages[kBatch] = {};
  for (size_t i = 0; i < kBatch; i++) {
    parts[i] = {buffers.data() + i * kBufferSize, kBufferSize};
    messages[i].msg_hdr.msg_iov = &parts[i];
    messages[i].msg_hdr.msg_iovlen = 1;
    messages[i].msg_hdr.msg_name = &sources[i];
  }
  const uint64_t began = NowNs();
  next_progress_ns_ = began + kNsPerSecond;
  while (stop_asked == 0) {
    for (mmsghdr& message : messages) message.msg_hdr.msg_namelen = sizeof(sockaddr_storage);
    const int count = recvmmsg(fd_, messages, kBatch, MSG_WAITFORONE, nullptr);
    const uint64_t now = NowNs();
    for (int i = 0; i < count; i++) {
      Take(static_cast<uint8_t*>(parts[i].iov_base), messages[i].msg_len, messages[i].msg_hdr, now);
    }
    if (options_.progress && now >= next_progress_ns_) PrintProgress(now);
    if (now - began > options_.most_ms * kNsPerMs) break;
    const bool quiet = first_ns_ == 0 ? now - began > options_.wait_ms * kNsPerMs
                                      : now - last_ns_ > options_.idle_ms * kNsPerMs;
    if (quiet) break;
  }
}

void Sink::Take(const uint8_t* bytes, size_t length, const msghdr& from, uint64_t now_ns) {
  ProbeHeader header;
  ProbeKind kind = CheckProbe(bytes, length, &header);
  if (kind == ProbeKind::kGood && header.flow >= kMostFlows) kind = ProbeKind::kForeign;
  switch (kind) {
    case ProbeKind::kForeign:
      foreign_++;
      return;
    case ProbeKind::kHello:
      hellos_++;
      sendto(fd_, bytes, length, MSG_DONTWAIT, static_cast<const sockaddr*>(from.msg_name),
             from.msg_namelen);
      return;
    case ProbeKind::kCorrupted:
      corrupted_++;
      return;
    case ProbeKind::kGood:
      break;
  }
  if (first_ns_ == 0) first_ns_ = now_ns;
  last_ns_ = now_ns;
  bytes_ += length;
  latency_.Add(now_ns - std::min(header.sent_ns, now_ns));
  if (header.flow >= flows_.size()) flows_.resize(header.flow + 1);
  flows_[header.flow].Add(header.sequence);
}

uint64_t Sink::Sum(uint64_t (SequenceWindow::*count)() const) const {
  uint64_t sum = 0;
  for (const SequenceWindow& flow : flows_) sum += (flow.*count)();
  return sum;
}

void Sink::PrintProgress(uint64_t now_ns) {
  next_progress_ns_ = now_ns + kNsPerSecond;
  fprintf(stderr, "%llu received, %llu lost, %llu twice, %llu late, %llu corrupted\n",
          static_cast<unsigned long long>(Sum(&SequenceWindow::received)),
          static_cast<unsigned long long>(Sum(&SequenceWindow::lost)),
          static_cast<unsigned long long>(Sum(&SequenceWindow::duplicated)),
          static_cast<unsigned long long>(Sum(&SequenceWindow::reordered)),
          static_cast<unsigned long long>(corrupted_));
}

void Sink::PrintReport() const {
  const auto elapsed = static_cast<double>(last_ns_ - first_ns_);
  const uint64_t received = Sum(&SequenceWindow::received);
  Report report("sink");
  report.Add("received", received);
  report.Add("bytes", bytes_);
  report.Add("duplicated", Sum(&SequenceWindow::duplicated));
  report.Add("reordered", Sum(&SequenceWindow::reordered));
  report.Add("tooOld", Sum(&SequenceWindow::too_old));
  report.Add("corrupted", corrupted_);
  report.Add("foreign", foreign_);
  report.Add("lost", Sum(&SequenceWindow::lost));
  report.Add("flows", flows_.size());
  report.Add("hellos", hellos_);
  report.Add("socketDrops", SocketDrops(fd_));
  report.Add("receiveBuffer", ReceiveBuffer(fd_));
  report.Add("firstNs", first_ns_);
  report.Add("lastNs", last_ns_);
  report.AddNumber("elapsedMs", elapsed / 1e6);
  report.AddNumber("cpuMs", CpuMs());
  report.AddNumber("pps", elapsed > 0 ? static_cast<double>(received) * 1e9 / elapsed : 0);
  report.AddLatency("latencyUs", latency_);
  report.Print();
}

}  // namespace weft
