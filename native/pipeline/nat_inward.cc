#include "../pipeline/nat_inward.h"

#include "../nat/observe.h"
#include "../nat/rewrite.h"
#include "../pipeline/classify.h"
#include "../wire/ethernet.h"
#include "../wire/icmp.h"
#include "../wire/ip.h"
#include "../wire/transport.h"

namespace weft {

namespace {

struct Way {
  const Tables& tables;
  Conntrack& conntrack;
  uint32_t vni;  // of the client
  uint64_t now_ns;
  Frame* frame;
  PacketKey* key;
  Trail* trail;
};

// The flow's rows: for the trail, the VIP's MAC, and the tally of a flow that was in the file.
void UseRows(const Way& way, uint32_t index) {
  const Flow& flow = way.conntrack.flow(index);
  const ServiceRow* row = way.tables.services.Find({flow.vip_vni, flow.vip});
  if (row != nullptr) {
    way.trail->Note(TableId::kService, row->record);
    // A VIP of another subnet is behind the gateway, whose MAC the frame has or needs not have.
    if (flow.vip_vni == way.vni) way.frame->Get<EthernetHeader>(0)->source = row->mac;
    if (way.conntrack.tally(index) == nullptr) {
      const ServiceRow::Backend* backend = row->Find(flow.backend);
      if (backend != nullptr) way.conntrack.SetTally(index, backend->tally);
    }
  }
  way.trail->Note(TableId::kFlow, index + 1);
  way.conntrack.counters().Add(Counter::vip_translated);
}

void Count(const Way& way, uint32_t index) {
  BackendTally* tally = way.conntrack.tally(index);
  if (tally == nullptr) return;
  tally->packets_in.fetch_add(1, std::memory_order_relaxed);
  tally->bytes_in.fetch_add(way.key->l3_length, std::memory_order_relaxed);
}

void LaterFragment(const Way& way) {
  uint32_t check = 0;
  const uint32_t noted = way.conntrack.fragments().Find(way.vni, *way.key, way.now_ns, &check);
  if (noted == FragmentMap::kNone || !IsReplyNote(noted)) return;
  const uint32_t index = IndexOfNote(noted);
  const Flow& flow = way.conntrack.flow(index);
  if (flow.state == FlowState::kFree || flow.check != check) return;
  Count(way, index);
  RewriteFrame(way.frame, way.key, flow.Original().Reversed());
  UseRows(way, index);
}

void Segment(const Way& way) {
  const PacketKey& key = *way.key;
  const uint32_t index = way.conntrack.FindReply(way.vni, key.protocol, EndsOf(key));
  if (index == Conntrack::kNone) return;
  const Flow& flow = way.conntrack.flow(index);
  if (flow.IsHairpin()) return;  // comes by from_tap
  ObservePacket(&way.conntrack, index, TransportFlags(*way.frame, key), Side::kBackend, way.now_ns);
  if (key.first_fragment) {
    way.conntrack.fragments().Note(way.vni, key, ReplyNote(index), flow.check, way.now_ns);
  }
  Count(way, index);
  RewriteFrame(way.frame, way.key, flow.Original().Reversed());
  UseRows(way, index);
}

void Error(const Way& way) {
  QuotedPacket quoted;
  if (!ReadQuoted(*way.frame, *way.key, &quoted)) return;
  const uint32_t index =
      way.conntrack.FindReply(way.vni, quoted.place.protocol, quoted.ends.Reversed());
  if (index == Conntrack::kNone) return;
  const Flow& flow = way.conntrack.flow(index);
  if (!(way.key->destination == flow.client)) return;
  // A router on the way speaks for itself.
  const bool from_backend = way.key->source == flow.backend && !flow.IsHairpin();
  const IpAddress source = from_backend ? flow.vip : way.key->source;
  Count(way, index);
  RewriteError(way.frame, way.key, source, flow.client, quoted, flow.Original());
  UseRows(way, index);
}

void Translate(const Way& way) {
  const PacketKey& key = *way.key;
  if (!key.IsIp()) return;
  if (key.fragment && !key.first_fragment) return LaterFragment(way);
  if (key.l4_header_length == 0) return;
  if (key.protocol == kProtocolTcp || key.protocol == kProtocolUdp) return Segment(way);
  const auto* icmp = way.frame->Get<IcmpHeader>(key.l4_offset);
  if (!key.fragment && icmp != nullptr && IsError(key, *icmp)) Error(way);
}

}  // namespace

void TranslateInward(const Tables& tables, Conntrack* conntrack, PortId port, uint64_t now_ns,
                     Frame* frame, Trail* trail) {
  if (conntrack == nullptr || conntrack->size() == 0) return;
  PacketKey key;
  if (!Classify(*frame, &key) || !key.IsIp()) return;
  const PortRow* row = tables.ports.Find({port});
  if (row == nullptr) return;
  Translate({tables, *conntrack, row->vni, now_ns, frame, &key, trail});
}

void TranslateReply(Passage* passage, Frame* frame) {
  PacketKey key;
  const PortRow* row = passage->tables.ports.Find({passage->port});
  if (row == nullptr || !Classify(*frame, &key)) return;
  Translate({passage->tables, *passage->conntrack, row->vni, passage->now_ns, frame, &key,
             &passage->trail});
}

}  // namespace weft
