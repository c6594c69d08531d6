#include "../pipeline/sweep_flows.h"

#include "../pipeline/tcp_reset.h"

namespace weft {

namespace {

// An endpoint may be away for so long (a daemon that starts adopts its sandboxes one by one).
constexpr uint64_t kClientAway = 60 * Conntrack::kSecond;
constexpr uint8_t kProbes = 4;
constexpr uint64_t kProbeEvery = Conntrack::kSecond;

// Of a VIP whose row is gone: as weft forms MACs.
MacAddress MacOf(const IpAddress& ip) {
  return {{0x02, 0x42, ip.bytes[12], ip.bytes[13], ip.bytes[14], ip.bytes[15]}};
}

class Sweep {
 public:
  Sweep(const Tables& tables, Conntrack* conntrack, uint64_t now_ns,
        const std::function<void(PortId, Frame*)>& send)
      : tables_(tables), conntrack_(*conntrack), now_ns_(now_ns), send_(send) {}

  void Look(uint32_t index) {
    const Flow& flow = conntrack_.flow(index);
    const NeighbourRow* client = tables_.neighbours.Find({flow.vni, flow.client});
    const FdbRow* place = client == nullptr ? nullptr : tables_.fdb.Find({flow.vni, client->mac});
    if (place == nullptr || !place->IsLocal()) {
      if (!conntrack_.InGrace(now_ns_) && now_ns_ >= flow.used_ns + kClientAway) {
        conntrack_.Remove(index);
        conntrack_.counters().Add(Counter::vip_flows_expired);
      }
      return;
    }
    if (flow.IsDirect()) return;  // is nobody's but its two ends'
    const ServiceRow* row = tables_.services.Find({flow.vip_vni, flow.vip});
    const ServiceRow::Backend* backend = row == nullptr ? nullptr : row->Find(flow.backend);
    if (backend != nullptr && conntrack_.tally(index) == nullptr) {
      conntrack_.SetTally(index, backend->tally);
    }
    if (backend != nullptr && backend->state != BackendState::kLost) {
      if (flow.state == FlowState::kDoomed) {
        conntrack_.SetState(index, FlowState::kEstablished, now_ns_);
      }
      return;
    }
    if (backend == nullptr && conntrack_.InGrace(now_ns_)) return;
    // Others learn of it by the packet that they send next, or expire.
    if (flow.state == FlowState::kEstablished || flow.state == FlowState::kHalfClosed) {
      conntrack_.SetState(index, FlowState::kDoomed, now_ns_);
      FlowStore::SetProbes(&conntrack_.flow(index), 0);
    }
    if (flow.state != FlowState::kDoomed || flow.probes >= kProbes ||
        now_ns_ < flow.used_ns + flow.probes * kProbeEvery) {
      return;
    }
    FlowStore::SetProbes(&conntrack_.flow(index), static_cast<uint8_t>(flow.probes + 1));
    conntrack_.counters().Add(Counter::vip_probes_sent);
    uint8_t buffer[kHeadroom + 128];
    Frame frame(buffer, sizeof(buffer), 0);
    WriteProbe(&frame, flow, client->mac, row == nullptr ? MacOf(flow.vip) : row->mac);
    send_(place->port, &frame);
  }

 private:
  const Tables& tables_;
  Conntrack& conntrack_;
  const uint64_t now_ns_;
  const std::function<void(PortId, Frame*)>& send_;
};

}  // namespace

void SweepFlows(const Tables& tables, Conntrack* conntrack, uint64_t now_ns, uint32_t most,
                const std::function<void(PortId, Frame*)>& send) {
  conntrack->Expire(now_ns, most);
  Sweep sweep(tables, conntrack, now_ns, send);
  for (uint32_t i = 0; i < most; i++) {
    const uint32_t index = conntrack->Next();
    if (index == Conntrack::kNone) break;
    sweep.Look(index);
  }
}

}  // namespace weft
