#include "worker.h"

#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <ctime>

#include "inward.h"
#include "io/epoll.h"
#include "io/tap_port.h"
#include "pipeline/from_tap.h"
#include "pipeline/sweep_flows.h"
#include "scheduling.h"

namespace weft {

namespace {

// Frames taken from one endpoint before the next gets its turn. Their buffers must stay in place
// until the flush.
constexpr int kPortBatch = 32;
// Bytes after which what was read is sent, and its buffers are used again: what a core's second
// cache keeps of it.
constexpr uint64_t kPortBatchBytes = 256 * 1024;
constexpr int kEventBatch = 64;

uint64_t NowNs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000u + static_cast<uint64_t>(now.tv_nsec);
}

bool Add(int epoll, int fd, WaitFor kind, uint32_t id) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = PackWait(kind, id);
  return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

}  // namespace

Worker::Worker(int index, const Shared& shared, uint16_t vxlan_port, bool copy_dscp,
               const Manners& manners)
    : index_(index),
      cpu_(manners.cpu),
      wakefulness_(manners.stay_awake && idle_cpus_.Open()),
      shared_(shared),
      conntrack_(shared.flows, &counters_, shared.seed, shared.buckets),
      underlay_(*shared.source_ports, vxlan_port, copy_dscp),
      executor_(index, shared.tables, &conntrack_, shared.ports, &underlay_, &counters_,
                shared.hand_over),
      port_buffers_(new uint8_t[size_t{kPortBatch} * kBufferSize]) {}

Worker::~Worker() {
  Stop();
  if (epoll_ >= 0) close(epoll_);
}

bool Worker::Open(VtepAddress address, int kept) {
  if (kept >= 0) {
    underlay_.Adopt(kept);
  } else if (!underlay_.Open(address)) {
    return false;
  }
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  return epoll_ >= 0 && Add(epoll_, underlay_.descriptor(), WaitFor::kUnderlay, 0) &&
         Add(epoll_, mailbox_.descriptor(), WaitFor::kMailbox, 0);
}

void Worker::Start() {
  // Signals are for Node's main thread: a thread inherits the mask that it was made under.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] { Run(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  char name[16];
  snprintf(name, sizeof(name), "weft-worker-%d", index_);
  pthread_setname_np(thread_.native_handle(), name);
}

void Worker::Stop() {
  if (!thread_.joinable()) return;
  stopping_.store(true, std::memory_order_release);
  mailbox_.Wake();
  thread_.join();
}

bool Worker::Watch(const Port& port) {
  return Add(epoll_, port.descriptor(), WaitFor::kPort, port.id);
}

void Worker::Forget(const Port& port) {
  epoll_ctl(epoll_, EPOLL_CTL_DEL, port.descriptor(), nullptr);
}

void Worker::Run() {
  // A TAP's queue holds 500 frames: some ten milliseconds at full rate, and no longer than that may
  // a worker be kept waiting by processes that come and go beside it.
  PreferThisThread();
  if (cpu_ >= 0) KeepThisThreadOn(cpu_);
  epoll_event events[kEventBatch];
  int most_ms = 0;
  uint64_t ended_ns = NowNs();
  while (!stopping_.load(std::memory_order_acquire)) {
    const int count = Wait(events, most_ms, ended_ns);
    turn_++;
    shared_.rcu->Online(index_);
    const uint64_t now_ns = NowNs();
    uint64_t bytes = 0;
    for (int i = 0; i < count; i++) {
      const uint64_t packed = events[i].data.u64;
      switch (WaitKind(packed)) {
        case WaitFor::kMailbox:
          bytes += HandleMailbox(now_ns);
          break;
        case WaitFor::kUnderlay:
          bytes += HandleUnderlay(now_ns);
          break;
        case WaitFor::kPort:
          bytes += HandlePort(WaitId(packed), now_ns);
          break;
      }
    }
    // Without flows nothing wakes a worker that has nothing to do.
    most_ms = SweepWhenDue(now_ns) ? static_cast<int>(kSweepEveryNs / 1'000'000) : -1;
    shared_.rcu->Offline(index_);
    if (count > 0) wakefulness_.Came(now_ns - ended_ns, bytes, now_ns);
    ended_ns = NowNs();
  }
}

int Worker::Wait(epoll_event* events, int most_ms, uint64_t now_ns) {
  const uint64_t awake_ns = wakefulness_.RemainingNs(now_ns);
  if (awake_ns == 0) {
    idle_cpus_.LetSleep();
  } else {
    if (idle_cpus_.KeepAwake()) counters_.Add(Counter::awake_stretches);
    const int awake_ms = static_cast<int>(awake_ns / 1'000'000) + 1;
    most_ms = most_ms < 0 ? awake_ms : std::min(most_ms, awake_ms);
  }
  counters_.Add(Counter::system_calls);
  return epoll_wait(epoll_, events, kEventBatch, most_ms);
}

bool Worker::SweepWhenDue(uint64_t now_ns) {
  if (conntrack_.size() == 0) return false;
  if (now_ns < swept_ns_ + kSweepEveryNs) return true;
  swept_ns_ = now_ns;
  SweepFlows(*shared_.tables, &conntrack_, now_ns, kSweepFlows, [this](PortId id, Frame* frame) {
    const OpenPort* open = shared_.ports->Find({id});
    if (open != nullptr && open->port->worker == index_) executor_.Deliver(open->port, *frame);
  });
  return true;
}

uint64_t Worker::HandleMailbox(uint64_t now_ns) {
  uint64_t bytes = 0;
  mailbox_.TakeAll(&mail_);
  for (Mailbox::Item& item : mail_) {
    const OpenPort* open = shared_.ports->Find({item.port});
    if (open == nullptr) {
      counters_.Add(Counter::drop_port_gone, item.datagrams);
      continue;
    }
    const auto size = static_cast<uint32_t>(item.buffer.size());
    bytes += size;
    Frame frame(item.buffer.data(), size, size - kHeadroom);
    frame.offload = item.offload;
    frame.datagrams = item.datagrams;
    Trail trail;
    executor_.DeliverInward(open->port, now_ns, &frame, &trail);
  }
  return bytes;
}

uint64_t Worker::HandleUnderlay(uint64_t now_ns) {
  uint64_t bytes = 0;
  Arrival arrivals[UnderlaySocket::kReceiveBatch];
  const int count = underlay_.Receive(arrivals, &counters_);
  Inward inward(*shared_.tables, &executor_, &counters_, now_ns);
  const bool udp = TapPort::TakesUdpSuperframes();
  for (int i = 0; i < count; i++) {
    bytes += arrivals[i].length;
    inward.Count(arrivals[i]);
    coalescer_.Take(arrivals[i], udp, &inward);
  }
  coalescer_.Flush(&inward);
  return bytes;
}

uint64_t Worker::HandlePort(PortId id, uint64_t now_ns) {
  // An event that was under way when the port was closed: the number is never used again, so it is
  // not another's.
  const OpenPort* open = shared_.ports->Find({id});
  if (open == nullptr) return 0;
  Port* port = open->port;
  uint64_t frames = 0;
  uint64_t bytes = 0;
  uint64_t reads = 0;
  uint64_t flushed_bytes = 0;
  size_t buffer_index = 0;
  // A read that finds nothing is a system call, too: who gave one frame at a time is expected to go
  // on so. Were there more, the next turn comes at once, and takes all that there are.
  const bool again = port->last_turn + 1 == turn_;
  const int most = again ? kPortBatch : port->last_frames;
  int taken = 0;
  for (; taken < most; taken++) {
    if (bytes - flushed_bytes >= kPortBatchBytes) {
      underlay_.Flush(&counters_);
      flushed_bytes = bytes;
      buffer_index = 0;
    }
    uint8_t* buffer = port_buffers_.get() + size_t{kBufferSize} * buffer_index++;
    uint32_t length = 0;
    Offload offload;
    const Port::ReadResult result = port->Read(buffer, &length, &offload);
    reads++;
    if (result == Port::ReadResult::kEmpty) break;
    if (result == Port::ReadResult::kGone) {
      Forget(*port);
      shared_.on_port_gone(id);
      break;
    }
    frames++;
    bytes += length;
    if (result == Port::ReadResult::kBad) {
      counters_.Add(Counter::drop_bad_offload);
      continue;
    }
    Frame frame(buffer, kBufferSize, length);
    frame.offload = offload;
    PacketKey key;
    Verdict verdict =
        FromTap(*shared_.tables, id, &port->icmp_budget, &conntrack_, now_ns, &frame, &key);
    executor_.Carry(&verdict, key, port, now_ns, &frame);
  }
  underlay_.Flush(&counters_);
  port->last_turn = turn_;
  port->last_frames = std::max(taken, 1);
  counters_.Add(Counter::system_calls, reads);
  counters_.Add(Counter::tap_rx_frames, frames);
  counters_.Add(Counter::tap_rx_bytes, bytes);
  Port::Traffic& traffic = port->traffic;
  traffic.rx_frames.store(traffic.rx_frames.load(std::memory_order_relaxed) + frames,
                          std::memory_order_relaxed);
  traffic.rx_bytes.store(traffic.rx_bytes.load(std::memory_order_relaxed) + bytes,
                         std::memory_order_relaxed);
  return bytes;
}

}  // namespace weft
