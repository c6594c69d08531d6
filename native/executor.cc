#include "executor.h"

#include "pipeline/nat_inward.h"

namespace weft {

namespace {

void Bump(std::atomic<uint64_t>* value, uint64_t amount) {
  value->store(value->load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
}

}  // namespace

void Executor::Carry(Verdict* verdict, const PacketKey& key, Port* origin, uint64_t now_ns,
                     Frame* frame) {
  if (verdict->counter != Counter::kCount) counters_->Add(verdict->counter, frame->datagrams);
  if (verdict->routed) counters_->Add(Counter::routed);
  switch (verdict->action) {
    case Verdict::Action::kContinue:
    case Verdict::Action::kDrop:
      return;
    case Verdict::Action::kReply:
      Deliver(origin, *frame);
      return;
    case Verdict::Action::kToPort:
      ToPort(verdict->port, now_ns, frame, &verdict->trail);
      return;
    case Verdict::Action::kToVtep:
      underlay_->Send(verdict->vtep, verdict->vni, key, frame, counters_);
      return;
    case Verdict::Action::kFlood:
      Flood(verdict, key, origin, now_ns, frame);
      return;
  }
}

void Executor::ToPort(PortId id, uint64_t now_ns, Frame* frame, Trail* trail) {
  const OpenPort* open = ports_->Find({id});
  if (open == nullptr) {
    counters_->Add(Counter::drop_port_gone, frame->datagrams);
  } else if (open->port->worker == worker_) {
    DeliverInward(open->port, now_ns, frame, trail);
  } else if (hand_over_(*open->port, *frame)) {
    counters_->Add(Counter::handed_over);
  } else {
    counters_->Add(Counter::drop_handover_full, frame->datagrams);
  }
}

void Executor::Flood(Verdict* verdict, const PacketKey& key, const Port* origin, uint64_t now_ns,
                     Frame* frame) {
  for (const PortId id : verdict->network->ports) {
    if (origin == nullptr || id != origin->id) ToPort(id, now_ns, frame, &verdict->trail);
  }
  if (origin == nullptr) return;  // split horizon
  for (const VtepAddress vtep : verdict->network->vteps) {
    underlay_->Send(vtep, verdict->vni, key, frame, counters_);
  }
}

void Executor::DeliverInward(Port* port, uint64_t now_ns, Frame* frame, Trail* trail) {
  TranslateInward(*tables_, conntrack_, port->id, now_ns, frame, trail);
  Deliver(port, *frame);
}

void Executor::Deliver(Port* port, const Frame& frame) {
  if (port->descriptor() >= 0) counters_->Add(Counter::system_calls);
  switch (port->Write(frame)) {
    case Port::WriteResult::kOk:
      counters_->Add(Counter::tap_tx_frames);
      counters_->Add(Counter::tap_tx_bytes, frame.length());
      Bump(&port->traffic.tx_frames, 1);
      Bump(&port->traffic.tx_bytes, frame.length());
      return;
    case Port::WriteResult::kFull:
      counters_->Add(Counter::drop_tap_full, frame.datagrams);
      break;
    case Port::WriteResult::kDown:
      counters_->Add(Counter::drop_tap_down, frame.datagrams);
      break;
    case Port::WriteResult::kRefused:
      counters_->Add(Counter::drop_bad_offload, frame.datagrams);
      break;
  }
  Bump(&port->traffic.dropped, frame.datagrams);
}

}  // namespace weft
