#include "dataplane.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "io/kept_sockets.h"
#include "io/tap_port.h"
#include "pipeline/from_tap.h"
#include "pipeline/from_underlay.h"

namespace weft {

Dataplane::Dataplane(const Options& options) : options_(options) {}

Dataplane::~Dataplane() { Stop(); }

int Dataplane::Start(std::function<void(PortId)> on_port_gone, const std::vector<pid_t>& keepers,
                     std::string* error) {
  if (options_.memory) {
    memory_underlay_ = std::make_unique<MemoryUnderlay>(&outputs_);
    memory_executor_ =
        std::make_unique<Executor>(0, &open_ports_, memory_underlay_.get(), &memory_counters_,
                                   [](const Port&, const Frame&) { return false; });
    return 0;
  }
  if (!source_ports_.Open(options_.address, error)) return errno == 0 ? EADDRINUSE : errno;
  Worker::Shared shared{
      .rcu = &rcu_,
      .tables = &tables_,
      .ports = &open_ports_,
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
    auto worker = std::make_unique<Worker>(i, shared, options_.vxlan_port);
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

bool Dataplane::InjectFromPort(PortId id, const std::vector<uint8_t>& bytes, const Offload& offload,
                               uint64_t now_ns, Verdict* verdict) {
  const auto found = ports_.find(id);
  if (memory_executor_ == nullptr || found == ports_.end() || bytes.size() > kMaxFrame)
    return false;
  std::vector<uint8_t> buffer(kBufferSize);
  if (!bytes.empty()) memcpy(buffer.data() + kHeadroom, bytes.data(), bytes.size());
  Frame frame(buffer.data(), kBufferSize, static_cast<uint32_t>(bytes.size()));
  frame.offload = offload;
  PacketKey key;
  Port* port = found->second.get();
  *verdict = FromTap(tables_, id, &port->icmp_budget, now_ns, &frame, &key);
  memory_executor_->Carry(*verdict, key, port, &frame);
  memory_counters_.Add(Counter::tap_rx_frames);
  memory_counters_.Add(Counter::tap_rx_bytes, bytes.size());
  return true;
}

bool Dataplane::InjectFromUnderlay(VtepAddress source, const std::vector<uint8_t>& bytes,
                                   uint64_t now_ns, Verdict* verdict) {
  if (memory_executor_ == nullptr || bytes.size() > kMaxFrame) return false;
  std::vector<uint8_t> buffer(kBufferSize);
  if (!bytes.empty()) memcpy(buffer.data() + kHeadroom, bytes.data(), bytes.size());
  Frame frame(buffer.data(), kBufferSize, static_cast<uint32_t>(bytes.size()));
  PacketKey key;
  *verdict = FromUnderlay(tables_, source, now_ns, &frame, &key);
  memory_executor_->Carry(*verdict, key, nullptr, &frame);
  memory_counters_.Add(Counter::underlay_rx_datagrams);
  memory_counters_.Add(Counter::underlay_rx_bytes, bytes.size());
  return true;
}

}  // namespace weft
