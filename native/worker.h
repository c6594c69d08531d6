// One worker thread: waits, takes a batch, runs the pipeline on each frame, flushes.

#ifndef WEFT_WORKER_H_
#define WEFT_WORKER_H_

#include <sys/epoll.h>

#include <atomic>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "counters.h"
#include "executor.h"
#include "idle_cpus.h"
#include "io/coalescer.h"
#include "io/underlay_socket.h"
#include "mailbox.h"
#include "tables/tables.h"
#include "wakefulness.h"

namespace weft {

class Worker {
 public:
  struct Shared {
    RcuDomain* rcu;
    const Tables* tables;
    const OpenPorts* ports;
    FlowStore* flows;
    uint64_t seed;     // of conntrack's index
    uint32_t buckets;  // of conntrack's index
    const SourcePorts* source_ports;
    Executor::HandOver hand_over;
    // A port's interface is gone; called on the worker's thread.
    std::function<void(PortId)> on_port_gone;
  };

  struct Manners {
    int cpu = -1;             // where it runs; -1: where the kernel has it
    bool stay_awake = false;  // whether idle CPUs may be kept awake (wakefulness.h)
  };

  Worker(int index, const Shared& shared, uint16_t vxlan_port, bool copy_dscp,
         const Manners& manners);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Binds the worker's socket, or takes `kept`, one that an earlier daemon has bound (-1: none).
  // False with errno set.
  bool Open(VtepAddress address, int kept);
  void Start();
  void Stop();

  // Control thread: begins and ends waiting for a port's frames. After Forget() and a grace period
  // the worker does not touch the port any more.
  bool Watch(const Port& port);
  void Forget(const Port& port);

  Mailbox& mailbox() { return mailbox_; }
  // Before Start() and after Stop() the control thread's.
  Conntrack& conntrack() { return conntrack_; }
  const Counters& counters() const { return counters_; }
  int underlay_descriptor() const { return underlay_.descriptor(); }
  uint64_t KernelSocketDrops() const { return underlay_.KernelDrops(); }

 private:
  void Run();
  // What has come. 0 events: nothing, for at most `most_ms` (-1: however long).
  int Wait(epoll_event* events, int most_ms, uint64_t now_ns);
  // Each gives the bytes that it has moved.
  uint64_t HandleMailbox(uint64_t now_ns);
  uint64_t HandleUnderlay(uint64_t now_ns);
  uint64_t HandlePort(PortId id, uint64_t now_ns);
  // Whether the worker has to come by again when nothing happens.
  bool SweepWhenDue(uint64_t now_ns);

  const int index_;
  const int cpu_;
  IdleCpus idle_cpus_;
  Wakefulness wakefulness_;
  const Shared shared_;
  Counters counters_;
  Conntrack conntrack_;
  uint64_t swept_ns_ = 0;
  Mailbox mailbox_;
  UnderlaySocket underlay_;
  Executor executor_;
  int epoll_ = -1;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
  // Counts how often it has waited.
  uint64_t turn_ = 0;
  std::unique_ptr<uint8_t[]> port_buffers_;
  Coalescer coalescer_;
  std::vector<Mailbox::Item> mail_;
};

}  // namespace weft

#endif  // WEFT_WORKER_H_
