#include "sender.h"

#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

#include "clock.h"
#include "failure.h"
#include "probe.h"
#include "report.h"

namespace weft {

namespace {

constexpr int kSendBuffer = 4 << 20;
constexpr uint64_t kHelloEveryMs = 20;
constexpr uint64_t kCatchUpNs = 2 * kNsPerMs;
// Below this a sleep costs more than it spares.
constexpr uint64_t kShortestSleepNs = 50'000;
constexpr uint64_t kMostRefusals = 10'000;

}  // namespace

Sender::Sender(const SendOptions& options)
    : options_(options),
      buffers_(options.burst * options.bytes),
      parts_(options.burst),
      messages_(options.burst) {
  for (size_t i = 0; i < options.burst; i++) {
    parts_[i] = {buffers_.data() + i * options.bytes, options.bytes};
    messages_[i].msg_hdr.msg_iov = &parts_[i];
    messages_[i].msg_hdr.msg_iovlen = 1;
  }
}

Sender::~Sender() {
  for (const Flow& flow : flows_) close(flow.fd);
}

int Sender::Run() {
  // Sleeps end when they should: the usual slack is 50 us.
  prctl(PR_SET_TIMERSLACK, 1);
  if (!Open()) return FailWithErrno("cannot open a socket to the sink");
  if (!Greet()) return Fail("the sink does not answer; start `weft-flood sink` there");
  const bool through = SendAll();
  TakeAnswers();
  PrintReport();
  return through ? kDone : FailWithErrno("the kernel takes no more datagrams");
}

bool Sender::Open() {
  for (uint32_t i = 0; i < options_.flows; i++) {
    const int fd = socket(options_.to.family(), SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return false;
    flows_.push_back({fd, 0});
    if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &kSendBuffer, sizeof(kSendBuffer)) != 0) {
      setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &kSendBuffer, sizeof(kSendBuffer));
    }
    // A send that would wait for ever is given up, and tried again.
    const timeval patience{1, 0};
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    if (connect(fd, options_.to.get(), options_.to.length) != 0) return false;
  }
  return true;
}

// The first datagram must find a sink that listens and neighbours that know each other.
bool Sender::Greet() {
  const uint64_t until = NowNs() + options_.wait_ms * kNsPerMs;
  const int fd = flows_[0].fd;
  uint8_t hello[kMinProbe];
  WriteHello(0, hello);
  while (NowNs() < until && stop_asked == 0) {
    if (send(fd, hello, sizeof(hello), 0) == sizeof(hello)) hellos_++;
    const uint64_t next = NowNs() + kHelloEveryMs * kNsPerMs;
    pollfd waiting{fd, POLLIN, 0};
    poll(&waiting, 1, kHelloEveryMs);
    TakeAnswers();
    if (answers_ > 0) return true;
    // Nobody listens yet (ECONNREFUSED): that came at once.
    SleepUntilNs(next);
  }
  return false;
}

void Sender::TakeAnswers() {
  uint8_t answer[kMinProbe];
  ProbeHeader header;
  for (;;) {
    const ssize_t got = recv(flows_[0].fd, answer, sizeof(answer), MSG_DONTWAIT);
    if (got < 0) return;
    if (CheckProbe(answer, static_cast<size_t>(got), &header) == ProbeKind::kHello) answers_++;
  }
}

bool Sender::SendAll() {
  start_ns_ = NowNs();
  next_progress_ns_ = start_ns_ + kNsPerSecond;
  const uint64_t until =
      options_.seconds == 0
          ? UINT64_MAX
          : start_ns_ + static_cast<uint64_t>(options_.seconds * static_cast<double>(kNsPerSecond));
  const uint64_t most = options_.packets == 0 ? UINT64_MAX : options_.packets;
  bool through = true;
  for (uint32_t turn = 0; sent_ < most && stop_asked == 0;) {
    const uint64_t now = NowNs();
    if (now >= until) break;
    if (options_.progress && now >= next_progress_ns_) PrintProgress(now);
    const auto due = static_cast<uint32_t>(std::min(uint64_t{WaitForDue(now)}, most - sent_));
    if (due == 0) continue;
    through = SendBurst(&flows_[turn], turn, due);
    if (!through) break;
    turn = (turn + 1) % options_.flows;
  }
  end_ns_ = NowNs();
  return through;
}

uint32_t Sender::WaitForDue(uint64_t now_ns) {
  if (options_.rate == 0) return options_.burst;
  const double per_ns = options_.rate / static_cast<double>(kNsPerSecond);
  const uint64_t gone = sent_ + skipped_;
  const auto should = static_cast<uint64_t>(static_cast<double>(now_ns - start_ns_) * per_ns) + 1;
  if (should <= gone) {
    const auto next = static_cast<uint64_t>(static_cast<double>(gone) / per_ns);
    SleepUntilNs(std::max(start_ns_ + next, now_ns + kShortestSleepNs));
    return 0;
  }
  const uint64_t due = should - gone;
  const uint64_t most = std::max(static_cast<uint64_t>(static_cast<double>(kCatchUpNs) * per_ns),
                                 uint64_t{options_.burst});
  if (due > most) skipped_ += due - most;
  return static_cast<uint32_t>(std::min(due, uint64_t{options_.burst}));
}

bool Sender::SendBurst(Flow* flow, uint32_t flow_number, uint32_t count) {
  const uint64_t now = NowNs();
  for (uint32_t i = 0; i < count; i++) {
    WriteProbe(flow_number, flow->next_sequence + i, now, options_.bytes,
               static_cast<uint8_t*>(parts_[i].iov_base));
  }
  const int sent = sendmmsg(flow->fd, messages_.data(), count, 0);
  if (sent < 0) return Overcome(errno);
  refused_in_a_row_ = 0;
  flow->next_sequence += static_cast<uint64_t>(sent);
  sent_ += static_cast<uint64_t>(sent);
  return true;
}

// What was not sent keeps its number and is sent again.
bool Sender::Overcome(int error) {
  if (error == EINTR) return true;
  refused_++;
  if (++refused_in_a_row_ > kMostRefusals) {
    errno = error;
    return false;
  }
  if (error != ECONNREFUSED) SleepUntilNs(NowNs() + kNsPerMs);
  return true;
}

void Sender::PrintProgress(uint64_t now_ns) {
  next_progress_ns_ += kNsPerSecond;
  fprintf(stderr, "%.0f s: %llu sent\n",
          static_cast<double>(now_ns - start_ns_) / static_cast<double>(kNsPerSecond),
          static_cast<unsigned long long>(sent_));
}

void Sender::PrintReport() const {
  const auto elapsed = static_cast<double>(end_ns_ - start_ns_);
  Report report("send");
  report.Add("sent", sent_);
  report.Add("bytes", sent_ * options_.bytes);
  report.Add("payload", options_.bytes);
  report.Add("flows", options_.flows);
  report.AddNumber("rate", options_.rate);
  report.Add("hellos", hellos_);
  report.Add("answers", answers_);
  report.Add("skipped", skipped_);
  report.Add("refused", refused_);
  report.AddNumber("elapsedMs", elapsed / 1e6);
  report.AddNumber("cpuMs", CpuMs());
  report.AddNumber("pps", elapsed > 0 ? static_cast<double>(sent_) * 1e9 / elapsed : 0);
  report.Print();
}

}  // namespace weft
