#include "dataplane.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>

#include "inward.h"
#include "io/kept_sockets.h"
#include "io/tap_port.h"
#include "pipeline/from_tap.h"
#include "pipeline/sweep_flows.h"
#include "scheduling.h"

namespace weft {

namespace {

uint64_t MonotonicNs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000u + static_cast<uint64_t>(now.tv_nsec);
}

// Up to two flows a bucket, which lengthens chains by half a flow in the mean: with more buckets
// a flow would cost more than 128 bytes where the table is not full.
uint32_t BucketsFor(const FlowStore& flows, int workers) {
  return flows.capacity() / 2 / static_cast<uint32_t>(workers);
}

std::vector<uint8_t> BufferOf(const std::vector<uint8_t>& frame) {
  std::vector<uint8_t> buffer(kBufferSize);
  if (!frame.empty()) memcpy(buffer.data() + kHeadroom, frame.data(), frame.size());
  return buffer;
}

}  // namespace

Dataplane::Dataplane(const Options& options) : options_(options) {}

Dataplane::~Dataplane() { Stop(); }

int Dataplane::Start(std::function<void(PortId)> on_port_gone, const std::vector<pid_t>& keepers,
                     std::string* error) {
  for (const int cpu : options_.worker_cpus) {
    if (MayUseCpu(cpu)) continue;
    *error = "CPU " + std::to_string(cpu) + " is none that this process may use";
    return ENXIO;
  }
  // First, so that positions go on where they were when the first row comes.
  if (!flows_.Open(options_.flows_path, options_.flows, error, &flows_note_)) {
    return errno == 0 ? EINVAL : errno;
  }
  tables_.tallies.UsePositions([this](uint64_t service) { return flows_.Position(service); });
  if (options_.memory) {
    memory_underlay_ = std::make_unique<MemoryUnderlay>(&outputs_, options_.copy_dscp);
    memory_conntrack_ = std::make_unique<Conntrack>(&flows_, &memory_counters_, options_.seed,
                                                    BucketsFor(flows_, 1));
    memory_executor_ = std::make_unique<Executor>(
        0, &tables_, memory_conntrack_.get(), &open_ports_, memory_underlay_.get(),
        &memory_counters_, [](const Port&, const Frame&) { return false; });
    return 0;
  }
  if (!source_ports_.Open(options_.address, error)) return errno == 0 ? EADDRINUSE : errno;
  Worker::Shared shared{
      .rcu = &rcu_,
      .tables = &tables_,
      .ports = &open_ports_,
      .flows = &flows_,
      .seed = options_.seed,
      .buckets = BucketsFor(flows_, std::max(options_.workers, 1)),
      .source_ports = &source_ports_,
      .hand_over =
          [this](const Port& port, const Frame& frame) {
            return workers_[static_cast<size_t>(port.worker)]->mailbox().Put(port.id, frame);
          },
      .on_port_gone = std::move(on_port_gone),
  };
  std::vector<int> kept = TakeKeptSockets(keepers, options_.address, options_.vxlan_port);
  for (int i = 0; i < options_.workers; i++) {
    int socket = -1;
    if (!kept.empty()) {
      socket = kept.back();
      kept.pop_back();
    }
    const auto index = static_cast<size_t>(i);
    const int cpu = index < options_.worker_cpus.size() ? options_.worker_cpus[index] : -1;
    auto worker =
        std::make_unique<Worker>(i, shared, options_.vxlan_port, options_.copy_dscp,
                                 Worker::Manners{.cpu = cpu, .stay_awake = options_.stay_awake});
    if (!worker->Open(options_.address, socket)) {
      const int why = errno;
      *error = std::string("cannot bind the VXLAN port: ") + strerror(why);
      workers_.clear();
      return why;
    }
    workers_.push_back(std::move(worker));
  }
  for (const int fd : kept) RetireKeptSocket(fd);
  return 0;
}

void Dataplane::Run() {
  std::vector<Conntrack*> owners;
  for (auto& worker : workers_) owners.push_back(&worker->conntrack());
  AdoptFlows(MonotonicNs(), owners);
  for (auto& worker : workers_) worker->Start();
}

std::vector<int> Dataplane::UnderlayDescriptors() const {
  std::vector<int> descriptors;
  for (const auto& worker : workers_) descriptors.push_back(worker->underlay_descriptor());
  return descriptors;
}

void Dataplane::Stop() {
  // All stop before any is destroyed: a running worker may still hand a frame to another.
  for (auto& worker : workers_) worker->Stop();
  workers_.clear();
  // A row that comes after this has its position in memory of its own.
  tables_.tallies.UsePositions(nullptr);
  flows_.Close();
  // A daemon that begins anew at another address leaves nothing bound at this one.
  source_ports_.Close();
  // By number too: a datagram that comes after this finds no port, and not one that is gone.
  for (const auto& [id, port] : ports_) open_ports_.Remove({id});
  ports_.clear();
  rcu_.Collect();
  closer_.Wait();
}

bool Dataplane::OpenTap(PortId id, int fd, std::string* error) {
  if (workers_.empty() || id == 0 || ports_.contains(id)) {
    *error = "no such dataplane or the port is open already";
    close(fd);
    return false;
  }
  const int worker = static_cast<int>(id % workers_.size());
  std::unique_ptr<Port> port(TapPort::Adopt(id, worker, fd, error));
  if (port == nullptr) {
    close(fd);
    return false;
  }
  Insert(std::move(port));
  return true;
}

bool Dataplane::OpenMemory(PortId id) {
  if (!options_.memory || id == 0 || ports_.contains(id)) return false;
  Insert(std::make_unique<MemoryPort>(id, &outputs_));
  return true;
}

void Dataplane::Insert(std::unique_ptr<Port> port) {
  Port* raw = port.get();
  ports_.emplace(raw->id, std::move(port));
  open_ports_.Put({raw->id}, {raw});
  if (!workers_.empty()) workers_[static_cast<size_t>(raw->worker)]->Watch(*raw);
}

bool Dataplane::ClosePort(PortId id) {
  auto found = ports_.find(id);
  if (found == ports_.end()) return false;
  Port* port = found->second.release();
  ports_.erase(found);
  open_ports_.Remove({id});
  if (!workers_.empty()) workers_[static_cast<size_t>(port->worker)]->Forget(*port);
  rcu_.Retire([this, port] { closer_.Take(std::unique_ptr<Port>(port)); });
  return true;
}

uint64_t Dataplane::CounterSum(size_t index) const {
  uint64_t sum = memory_counters_.Get(index);
  for (const auto& worker : workers_) sum += worker->counters().Get(index);
  if (index == static_cast<size_t>(Counter::drop_kernel_socket_full)) {
    for (const auto& worker : workers_) sum += worker->KernelSocketDrops();
  }
  return sum;
}

const Port::Traffic* Dataplane::TrafficOf(PortId id) const {
  const auto found = ports_.find(id);
  return found == ports_.end() ? nullptr : &found->second->traffic;
}

bool Dataplane::InjectFromPort(PortId id, const std::vector<FromPort>& frames, uint64_t now_ns,
                               std::vector<Verdict>* verdicts) {
  const auto found = ports_.find(id);
  if (memory_executor_ == nullptr || found == ports_.end()) return false;
  Port* port = found->second.get();
  AdoptInMemory(now_ns);
  // In place until the flush, as a worker's are.
  std::vector<std::vector<uint8_t>> buffers;
  for (const auto& [bytes, offload] : frames) {
    if (bytes.size() > kMaxFrame) return false;
    buffers.push_back(BufferOf(bytes));
    Frame frame(buffers.back().data(), kBufferSize, static_cast<uint32_t>(bytes.size()));
    frame.offload = offload;
    PacketKey key;
    verdicts->push_back(
        FromTap(tables_, id, &port->icmp_budget, memory_conntrack_.get(), now_ns, &frame, &key));
    memory_executor_->Carry(&verdicts->back(), key, port, now_ns, &frame);
    memory_counters_.Add(Counter::tap_rx_frames);
    memory_counters_.Add(Counter::tap_rx_bytes, bytes.size());
  }
  memory_underlay_->Flush(&memory_counters_);
  return true;
}

bool Dataplane::InjectFromUnderlay(const std::vector<FromHost>& datagrams, uint64_t now_ns,
                                   std::vector<Verdict>* verdicts) {
  if (memory_executor_ == nullptr) return false;
  AdoptInMemory(now_ns);
  Inward inward(tables_, memory_executor_.get(), &memory_counters_, now_ns);
  inward.Note(verdicts);
  std::vector<std::vector<uint8_t>> buffers;
  for (const auto& [bytes, segment, source, tos] : datagrams) {
    if (bytes.size() > kMaxFrame) return false;
    buffers.push_back(BufferOf(bytes));
    const Arrival arrival = ArrivalOf(buffers.back().data() + kHeadroom, kHeadroom,
                                      static_cast<uint32_t>(bytes.size()), segment, source, tos);
    inward.Count(arrival);
    memory_coalescer_.Take(arrival, true, &inward);
  }
  memory_coalescer_.Flush(&inward);
  return true;
}

void Dataplane::Tick(uint64_t now_ns, uint32_t most) {
  if (memory_executor_ == nullptr) return;
  AdoptInMemory(now_ns);
  SweepFlows(tables_, memory_conntrack_.get(), now_ns, most, [this](PortId id, Frame* frame) {
    const OpenPort* open = open_ports_.Find({id});
    if (open != nullptr) memory_executor_->Deliver(open->port, *frame);
  });
}

std::vector<Flow> Dataplane::Flows(uint32_t* place) const {
  // Places are looked at, not only flows found: an empty table costs a bounded time, too.
  constexpr uint32_t kMostPlaces = 16384;
  std::vector<Flow> found;
  const uint32_t used = flows_.Used();
  const uint32_t end = std::min(used, *place + kMostPlaces);
  Flow flow;
  for (; *place < end && found.size() < kFlowPage; ++*place) {
    if (flows_.Read(*place, &flow)) found.push_back(flow);
  }
  if (*place >= used) *place = 0;
  return found;
}

int Dataplane::OwnerOf(const Flow& flow) const {
  const NeighbourRow* client = tables_.neighbours.Find({flow.vni, flow.client});
  const FdbRow* place = client == nullptr ? nullptr : tables_.fdb.Find({flow.vni, client->mac});
  const auto port = place == nullptr ? ports_.end() : ports_.find(place->port);
  // Whose client is not here is anybody's: the sweep removes it.
  return port == ports_.end() ? 0 : port->second->worker;
}

void Dataplane::AdoptFlows(uint64_t now_ns, const std::vector<Conntrack*>& owners) {
  adopted_ = true;
  if (!flows_.restored() || owners.empty()) return;
  std::vector<uint32_t> found;
  for (uint32_t index = 0; index < flows_.Used(); index++) {
    Flow& flow = flows_.flow(index);
    if (flow.state == FlowState::kFree) {
      owners[index % owners.size()]->Give(index);
      continue;
    }
    // A time to come is no time of this boot: a torn one.
    if (flow.used_ns > now_ns) flow.used_ns = now_ns;
    found.push_back(index);
  }
  std::sort(found.begin(), found.end(), [&](uint32_t a, uint32_t b) {
    const uint64_t left = flows_.flow(a).used_ns;
    const uint64_t right = flows_.flow(b).used_ns;
    return left != right ? left < right : a < b;
  });
  for (const uint32_t index : found) {
    owners[static_cast<size_t>(OwnerOf(flows_.flow(index)))]->Adopt(index);
  }
  for (Conntrack* owner : owners) owner->BeginGrace(now_ns);
}

void Dataplane::AdoptInMemory(uint64_t now_ns) {
  if (!adopted_) AdoptFlows(now_ns, {memory_conntrack_.get()});
}

}  // namespace weft
