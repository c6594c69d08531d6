#include "../pipeline/nat_outward.h"

#include "../nat/observe.h"
#include "../nat/rewrite.h"
#include "../pipeline/icmp_error.h"
#include "../pipeline/tcp_reset.h"
#include "../pipeline/vip_echo.h"
#include "../tables/service_schedule.h"
#include "../wire/ethernet.h"

namespace weft {

namespace {

// Ports tried for a flow whose own one another flow has towards the same backend.
constexpr uint32_t kPortsTried = 64;

struct Vip {
  const ServiceRow* row = nullptr;
  uint32_t vni = 0;
};

// The VIP that the frame is for: in the sender's subnet, or behind its gateway.
Vip FindVip(Passage* passage) {
  const NetworkRow& network = *passage->network;
  const PacketKey& key = passage->key;
  if (!network.services) return {};
  Vip vip{passage->tables.services.Find({passage->vni, key.destination}), passage->vni};
  if (vip.row == nullptr && network.router != 0 && key.destination_mac == network.gateway_mac) {
    const RouterRow* router = passage->tables.routers.Find({network.router});
    const RouterRow::Subnet* subnet =
        router == nullptr ? nullptr : router->SubnetOf(key.destination);
    if (subnet == nullptr || subnet->vni == passage->vni) return {};
    vip = {passage->tables.services.Find({subnet->vni, key.destination}), subnet->vni};
    if (vip.row != nullptr) passage->trail.Note(TableId::kRouter, router->record);
  }
  if (vip.row != nullptr) passage->trail.Note(TableId::kService, vip.row->record);
  return vip;
}

// The MAC that leads to a backend; nullptr: not known.
const MacAddress* WayTo(Passage* passage, uint32_t vni, const IpAddress& backend) {
  if (vni != passage->vni) {
    return passage->network->router == 0 ? nullptr : &passage->network->gateway_mac;
  }
  const NeighbourRow* row = passage->tables.neighbours.Find({vni, backend});
  if (row == nullptr) return nullptr;
  passage->trail.Note(TableId::kNeighbour, row->record);
  return &row->mac;
}

void Readdress(Passage* passage, Frame* frame, const MacAddress& source, const MacAddress& to) {
  auto* ethernet = frame->Get<EthernetHeader>(0);
  passage->key.source_mac = ethernet->source = source;
  passage->key.destination_mac = ethernet->destination = to;
}

// To the endpoint that sent it.
Verdict Hairpin(Passage* passage, Frame* frame) {
  const MacAddress own = passage->key.source_mac;
  Readdress(passage, frame, passage->key.destination_mac, own);
  Verdict verdict;
  verdict.action = Verdict::Action::kToPort;
  verdict.vni = passage->vni;
  verdict.port = passage->port;
  return verdict;
}

void Used(Passage* passage, uint32_t index) {
  passage->trail.Note(TableId::kFlow, index + 1);
  passage->conntrack->counters().Add(Counter::vip_translated);
}

// The frame belongs to the flow: on to its backend. `rewrite` does what its kind needs.
template <typename Rewrite>
Verdict Forward(Passage* passage, Frame* frame, uint32_t index, Rewrite rewrite) {
  const Flow& flow = passage->conntrack->flow(index);
  const MacAddress* way = &passage->key.destination_mac;
  if (!flow.IsHairpin() && !flow.IsDirect()) way = WayTo(passage, flow.backend_vni, flow.backend);
  if (way == nullptr) return Verdict::Drop(Counter::drop_vip_backend_unknown);
  if (BackendTally* tally = passage->conntrack->tally(index); tally != nullptr) {
    tally->packets_out.fetch_add(1, std::memory_order_relaxed);
    tally->bytes_out.fetch_add(passage->key.l3_length, std::memory_order_relaxed);
  }
  rewrite(flow);
  Used(passage, index);
  if (flow.IsHairpin()) return Hairpin(passage, frame);
  const MacAddress to = *way;
  Readdress(passage, frame, passage->key.source_mac, to);
  passage->translated = true;
  return Verdict::Continue();
}

Verdict ForwardPacket(Passage* passage, Frame* frame, uint32_t index) {
  return Forward(passage, frame, index, [&](const Flow& flow) {
    if (passage->key.first_fragment) {
      passage->conntrack->fragments().Note(passage->vni, passage->key, index, flow.check,
                                           passage->now_ns);
    }
    RewriteFrame(frame, &passage->key, flow.Translated());
  });
}

// What a backend that reached itself answers goes back to it.
template <typename Rewrite>
Verdict Return(Passage* passage, Frame* frame, uint32_t index, Rewrite rewrite) {
  if (BackendTally* tally = passage->conntrack->tally(index); tally != nullptr) {
    tally->packets_in.fetch_add(1, std::memory_order_relaxed);
    tally->bytes_in.fetch_add(passage->key.l3_length, std::memory_order_relaxed);
  }
  rewrite(passage->conntrack->flow(index));
  Used(passage, index);
  return Hairpin(passage, frame);
}

Verdict Refuse(Passage* passage, Frame* frame) {
  const PacketKey& key = passage->key;
  if (key.protocol == kProtocolUdp) {
    return ReplyWithIcmpError(passage, frame, *passage->network, IcmpError::kPortUnreachable);
  }
  if ((TransportFlags(*frame, key) & kTcpRst) != 0) {
    return Verdict::Drop(Counter::drop_vip_no_flow);
  }
  return ReplyWithReset(passage, frame);
}

// Sees to it that no other flow has the reply tuple; false when all ports that were tried are
// taken.
bool FindSeenPort(const Conntrack& conntrack, Flow* flow) {
  flow->seen_port = flow->client_port;
  for (uint32_t i = 0; i < kPortsTried; i++) {
    const Ends reply = flow->Translated().Reversed();
    // A backend that reached itself sends its answers the way it sends to the VIP.
    const bool taken = conntrack.FindReply(flow->vni, flow->protocol, reply) != Conntrack::kNone ||
                       (flow->IsHairpin() && conntrack.FindOriginal(flow->vni, flow->protocol,
                                                                    reply) != Conntrack::kNone);
    if (!taken) return true;
    flow->seen_port = static_cast<uint16_t>(1024 + (flow->client_port + i * 7919u) % 64512);
  }
  return false;
}

// Of the first packet that a flow is made of.
Flow NewFlow(const Passage& passage) {
  const PacketKey& key = passage.key;
  Flow flow{};
  flow.client = key.source;
  flow.vip = key.destination;
  flow.client_port = key.source_port;
  flow.vip_port = key.destination_port;
  flow.vni = passage.vni;
  flow.created_s = static_cast<uint32_t>(passage.now_ns / Conntrack::kSecond);
  flow.protocol = key.protocol;
  flow.state = key.protocol == kProtocolTcp ? FlowState::kHalfOpen : FlowState::kUdpNew;
  return flow;
}

Verdict Track(Passage* passage, Frame* frame, Flow* flow, BackendTally* tally) {
  Conntrack& conntrack = *passage->conntrack;
  const uint32_t index = FindSeenPort(conntrack, flow)
                             ? conntrack.Insert(*flow, tally, passage->now_ns)
                             : Conntrack::kNone;
  if (index == Conntrack::kNone) return Verdict::Drop(Counter::drop_vip_no_room);
  if (tally != nullptr) conntrack.counters().Add(Counter::vip_flows);
  return ForwardPacket(passage, frame, index);
}

bool Opens(uint8_t tcp_flags) { return (tcp_flags & (kTcpSyn | kTcpAck | kTcpRst)) == kTcpSyn; }

bool IsOver(const Flow& flow) {
  return flow.state == FlowState::kClosing || flow.state == FlowState::kClosed ||
         flow.state == FlowState::kDoomed;
}

// For no VIP. To its receiver it must not look like a packet of a flow that the sender has there
// through one, or the answers would go there: what is over makes way, what is not keeps its port.
Verdict KeepApart(Passage* passage, Frame* frame) {
  Conntrack& conntrack = *passage->conntrack;
  const PacketKey& key = passage->key;
  const bool tcp = key.protocol == kProtocolTcp;
  if (tcp && !Opens(TransportFlags(*frame, key))) return Verdict::Continue();
  const uint32_t index = conntrack.FindReply(passage->vni, key.protocol, EndsOf(key).Reversed());
  if (index == Conntrack::kNone) return Verdict::Continue();
  if (IsOver(conntrack.flow(index))) {
    conntrack.Remove(index);
    return Verdict::Continue();
  }
  Flow flow = NewFlow(*passage);
  flow.backend = key.destination;
  flow.backend_port = key.destination_port;
  flow.vip_vni = passage->vni;
  flow.backend_vni = passage->vni;
  flow.flags = Flow::kDirect;
  return Track(passage, frame, &flow, nullptr);
}

Verdict Begin(Passage* passage, Frame* frame, const Vip& vip) {
  const PacketKey& key = passage->key;
  const ServiceRow& row = *vip.row;
  if (key.protocol == kProtocolTcp && !Opens(TransportFlags(*frame, key))) {
    return Refuse(passage, frame);
  }
  const ServiceRow::Backend* backend =
      ChooseBackend(row, {key.source, key.source_port, key.destination_port, key.protocol});
  if (backend == nullptr) return Refuse(passage, frame);
  Flow flow = NewFlow(*passage);
  flow.backend = backend->ip;
  flow.backend_port = row.TargetOf(key.protocol, key.destination_port);
  flow.vip_vni = vip.vni;
  flow.backend_vni = backend->vni;
  flow.service = row.service;
  flow.flags = backend->ip == key.source ? Flow::kHairpin : 0;
  if (!flow.IsHairpin() && WayTo(passage, flow.backend_vni, flow.backend) == nullptr) {
    return Verdict::Drop(Counter::drop_vip_backend_unknown);
  }
  return Track(passage, frame, &flow, backend->tally);
}

// What becomes of a frame whose flow is known.
enum class Fate : uint8_t {
  kGoesOn,
  kBeginsAnew,  // a new connection of the same ports, or one that had not come about
  kMoves,       // UDP: to another backend
  kEnds,        // its backend is lost
};

Fate FateOf(const Conntrack& conntrack, const Flow& flow, const ServiceRow::Backend* backend,
            uint8_t tcp_flags, uint64_t now_ns) {
  const bool waits = backend == nullptr && (conntrack.InGrace(now_ns) || flow.IsDirect());
  const bool lost = !waits && (backend == nullptr || backend->state == BackendState::kLost);
  const bool dead = backend != nullptr && backend->state == BackendState::kDead;
  if (flow.protocol == kProtocolUdp) return lost || dead ? Fate::kMoves : Fate::kGoesOn;
  if (Opens(tcp_flags) &&
      (IsOver(flow) || (flow.state == FlowState::kHalfOpen && (lost || dead)))) {
    return Fate::kBeginsAnew;
  }
  return lost ? Fate::kEnds : Fate::kGoesOn;
}

Verdict Recall(Passage* passage, Frame* frame, uint32_t index) {
  Conntrack& conntrack = *passage->conntrack;
  const Vip vip = FindVip(passage);
  const Flow& flow = conntrack.flow(index);
  const ServiceRow::Backend* backend = vip.row == nullptr ? nullptr : vip.row->Find(flow.backend);
  const uint8_t flags = TransportFlags(*frame, passage->key);
  const Fate fate = FateOf(conntrack, flow, backend, flags, passage->now_ns);
  if (fate != Fate::kGoesOn) {
    conntrack.Remove(index);
    if (fate == Fate::kEnds) return Refuse(passage, frame);
    if (fate == Fate::kMoves) conntrack.counters().Add(Counter::vip_flows_repinned);
    return vip.row == nullptr ? KeepApart(passage, frame) : Begin(passage, frame, vip);
  }
  if (backend != nullptr && conntrack.tally(index) == nullptr) {
    conntrack.SetTally(index, backend->tally);
  }
  if (flow.state == FlowState::kDoomed) {
    conntrack.SetState(index, FlowState::kEstablished, passage->now_ns);  // it has come back
  }
  ObservePacket(&conntrack, index, flags, Side::kClient, passage->now_ns);
  return ForwardPacket(passage, frame, index);
}

Verdict Segment(Passage* passage, Frame* frame) {
  Conntrack& conntrack = *passage->conntrack;
  const PacketKey& key = passage->key;
  const Ends ends = EndsOf(key);
  uint32_t index = conntrack.FindOriginal(passage->vni, key.protocol, ends);
  if (index != Conntrack::kNone) return Recall(passage, frame, index);
  const Vip vip = FindVip(passage);
  if (vip.row == nullptr) return KeepApart(passage, frame);
  index = conntrack.FindReply(passage->vni, key.protocol, ends);
  if (index == Conntrack::kNone || !conntrack.flow(index).IsHairpin()) {
    return Begin(passage, frame, vip);
  }
  ObservePacket(&conntrack, index, TransportFlags(*frame, key), Side::kBackend, passage->now_ns);
  return Return(passage, frame, index, [&](const Flow& flow) {
    if (key.first_fragment) {
      conntrack.fragments().Note(passage->vni, key, ReplyNote(index), flow.check, passage->now_ns);
    }
    RewriteFrame(frame, &passage->key, flow.Original().Reversed());
  });
}

Verdict LaterFragment(Passage* passage, Frame* frame) {
  Conntrack& conntrack = *passage->conntrack;
  PacketKey& key = passage->key;
  uint32_t check = 0;
  const uint32_t noted = conntrack.fragments().Find(passage->vni, key, passage->now_ns, &check);
  const uint32_t index = IndexOfNote(noted);
  if (noted == FragmentMap::kNone || conntrack.flow(index).state == FlowState::kFree ||
      conntrack.flow(index).check != check) {
    const Vip vip = FindVip(passage);
    if (vip.row == nullptr) return Verdict::Continue();
    const bool v4 = key.kind == PacketKey::Kind::kIpv4;
    if (key.protocol == (v4 ? kProtocolIcmp : kProtocolIcmpV6)) {
      return AnswerVipEcho(passage, frame);
    }
    return Verdict::Drop(Counter::drop_vip_fragment);
  }
  if (IsReplyNote(noted)) {
    // A note of an answer that another endpoint gives to this one is not of this way.
    if (!conntrack.flow(index).IsHairpin()) return Verdict::Continue();
    return Return(passage, frame, index,
                  [&](const Flow& flow) { RewriteFrame(frame, &key, flow.Original().Reversed()); });
  }
  return Forward(passage, frame, index,
                 [&](const Flow& flow) { RewriteFrame(frame, &key, flow.Translated()); });
}

// An ICMP error about what came to its sender from a VIP.
Verdict Error(Passage* passage, Frame* frame, const QuotedPacket& quoted) {
  Conntrack& conntrack = *passage->conntrack;
  PacketKey& key = passage->key;
  const uint8_t protocol = quoted.place.protocol;
  const Ends sent = quoted.ends.Reversed();  // by whom the error is from
  uint32_t index = conntrack.FindOriginal(passage->vni, protocol, sent);
  if (index != Conntrack::kNone && conntrack.flow(index).vip == key.destination) {
    return Forward(passage, frame, index, [&](const Flow& flow) {
      const Ends translated = flow.Translated();
      const bool own = key.source == flow.client;
      RewriteError(frame, &key, own ? translated.source : key.source, flow.backend, quoted,
                   translated.Reversed());
    });
  }
  index = conntrack.FindReply(passage->vni, protocol, sent);
  if (index != Conntrack::kNone && conntrack.flow(index).IsHairpin() &&
      conntrack.flow(index).vip == key.destination) {
    return Return(passage, frame, index, [&](const Flow& flow) {
      RewriteError(frame, &key, flow.vip, flow.client, quoted, flow.Original());
    });
  }
  return FindVip(passage).row == nullptr ? Verdict::Continue()
                                         : Verdict::Drop(Counter::drop_vip_no_flow);
}

Verdict Icmp(Passage* passage, Frame* frame) {
  const PacketKey& key = passage->key;
  const auto* icmp = key.l4_offset == 0 ? nullptr : frame->Get<IcmpHeader>(key.l4_offset);
  QuotedPacket quoted;
  if (icmp != nullptr && !key.fragment && IsError(key, *icmp) && ReadQuoted(*frame, key, &quoted)) {
    return Error(passage, frame, quoted);
  }
  if (FindVip(passage).row == nullptr) return Verdict::Continue();
  return AnswerVipEcho(passage, frame);
}

}  // namespace

Verdict TranslateOutward(Passage* passage, Frame* frame) {
  const PacketKey& key = passage->key;
  const Conntrack* conntrack = passage->conntrack;
  if (conntrack == nullptr || !key.IsIp() || key.destination.IsGroup()) return Verdict::Continue();
  if (!passage->network->services && conntrack->size() == 0) return Verdict::Continue();
  if (key.fragment && !key.first_fragment) return LaterFragment(passage, frame);
  const bool v4 = key.kind == PacketKey::Kind::kIpv4;
  if (key.protocol == (v4 ? kProtocolIcmp : kProtocolIcmpV6)) return Icmp(passage, frame);
  const bool has_ports = key.protocol == kProtocolTcp || key.protocol == kProtocolUdp;
  if (has_ports && key.l4_header_length != 0) return Segment(passage, frame);
  if (FindVip(passage).row == nullptr) return Verdict::Continue();
  if (has_ports) return Verdict::Drop(Counter::drop_vip_not_answered);
  return ReplyWithIcmpError(passage, frame, *passage->network, IcmpError::kProtocolUnreachable);
}

}  // namespace weft
