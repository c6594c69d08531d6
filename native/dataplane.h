// The dataplane: ports, tables, workers. Used by one control thread (Node's main thread), through
// native/binding.

#ifndef WEFT_DATAPLANE_H_
#define WEFT_DATAPLANE_H_

#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "closer.h"
#include "counters.h"
#include "executor.h"
#include "io/memory_port.h"
#include "io/source_ports.h"
#include "nat/conntrack.h"
#include "tables/tables.h"
#include "worker.h"

namespace weft {

class Dataplane {
 public:
  struct Options {
    VtepAddress address = 0;
    uint16_t vxlan_port = 4789;
    int workers = 1;
    std::vector<int> worker_cpus = {};  // where each worker runs; empty: where the kernel has it
    bool stay_awake = false;            // whether workers may keep idle CPUs awake
    bool copy_dscp = false;             // of what is sent to other hosts: the inner packet's
    bool memory =
        false;  // no kernel: ports and underlay are memory twins, frames come by Inject*()
    // Where flows to VIPs are kept for the next daemon; empty: nowhere.
    std::string flows_path = {};
    uint32_t flows = 1 << 18;
    uint64_t seed = 0;  // of what may not be foreseen by who sends frames
  };

  explicit Dataplane(const Options& options);
  ~Dataplane();
  Dataplane(const Dataplane&) = delete;
  Dataplane& operator=(const Dataplane&) = delete;

  // Opens the sockets, those that the inits in `keepers` keep first. 0, or an errno and what failed
  // in `error`.
  int Start(std::function<void(PortId)> on_port_gone, const std::vector<pid_t>& keepers,
            std::string* error);
  // Starts the workers: once the tables are programmed, for datagrams may be waiting.
  void Run();
  // The workers' sockets on the VXLAN port, for an init to keep.
  std::vector<int> UnderlayDescriptors() const;
  // What Start() found wrong with the file of flows and set aside; empty: nothing.
  const std::string& flows_note() const { return flows_note_; }
  // Stops the workers and closes everything. Idempotent.
  void Stop();

  // Adds a local endpoint's TAP queue; owns `fd` from then on, also on failure. False and a reason
  // when it is not one.
  bool OpenTap(PortId id, int fd, std::string* error);
  bool OpenMemory(PortId id);
  // The descriptor is closed once no worker uses it: see Collect().
  bool ClosePort(PortId id);

  bool Apply(const uint8_t* batch, size_t length) { return tables_.Apply(batch, length); }
  // Frees what workers have let go of; returns what is left. To be called until it returns 0.
  size_t Collect() { return rcu_.Collect() + closer_.pending(); }

  bool memory() const { return options_.memory; }
  const Tables& tables() const { return tables_; }
  // A page of the flows there are: those at `*place` and after it, at most kFlowPage. Moves
  // `*place` on; to 0 after the last.
  static constexpr size_t kFlowPage = 1000;
  std::vector<Flow> Flows(uint32_t* place) const;
  uint64_t CounterSum(size_t index) const;
  const Port::Traffic* TrafficOf(PortId id) const;

  // Memory mode: what a worker reads in one turn, from a port or from other hosts, through pipeline
  // and lanes. A verdict for each frame from the port, or that the coalescer has made. False: no
  // such port, a frame that is longer than any, or not started in memory mode.
  struct FromPort {
    std::vector<uint8_t> bytes;
    Offload offload;
  };
  bool InjectFromPort(PortId id, const std::vector<FromPort>& frames, uint64_t now_ns,
                      std::vector<Verdict>* verdicts);
  struct FromHost {
    std::vector<uint8_t> bytes;
    uint32_t segment = 0;  // as UDP_GRO tells it
    VtepAddress source = 0;
    uint8_t tos = 0;
  };
  bool InjectFromUnderlay(const std::vector<FromHost>& datagrams, uint64_t now_ns,
                          std::vector<Verdict>* verdicts);
  // Memory mode: what a worker does between frames.
  void Tick(uint64_t now_ns, uint32_t most);
  std::vector<MemoryOutput> TakeOutputs() { return std::exchange(outputs_, {}); }

 private:
  void Insert(std::unique_ptr<Port> port);
  // Gives the flows that were in the file to those who own their clients.
  void AdoptFlows(uint64_t now_ns, const std::vector<Conntrack*>& owners);
  int OwnerOf(const Flow& flow) const;
  void AdoptInMemory(uint64_t now_ns);

  const Options options_;
  Closer closer_;
  RcuDomain rcu_;
  FlowStore flows_;
  std::string flows_note_;
  bool adopted_ = false;
  Tables tables_{&rcu_};
  OpenPorts open_ports_{&rcu_};
  std::unordered_map<PortId, std::unique_ptr<Port>> ports_;
  SourcePorts source_ports_;
  std::vector<std::unique_ptr<Worker>> workers_;

  // Memory mode only.
  std::vector<MemoryOutput> outputs_;
  Counters memory_counters_;
  std::unique_ptr<Conntrack> memory_conntrack_;
  std::unique_ptr<MemoryUnderlay> memory_underlay_;
  std::unique_ptr<Executor> memory_executor_;
  Coalescer memory_coalescer_;
};

}  // namespace weft

#endif  // WEFT_DATAPLANE_H_
