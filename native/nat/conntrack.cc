#include "../nat/conntrack.h"

#include <sys/mman.h>

#include <bit>

namespace weft {

namespace {

// A bucket holds an index plus one, so that fresh pages are empty buckets.
uint32_t* NewBuckets(uint32_t count) {
  void* memory = mmap(nullptr, size_t{count} * sizeof(uint32_t), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return memory == MAP_FAILED ? nullptr : static_cast<uint32_t*>(memory);
}

// What has to make room first: what is over, then what may be a flood, then what still speaks.
constexpr FlowState kWorthless[] = {
    FlowState::kClosed, FlowState::kClosing, FlowState::kDoomed,     FlowState::kHalfOpen,
    FlowState::kUdpNew, FlowState::kUdp,     FlowState::kHalfClosed, FlowState::kEstablished,
};
static_assert(std::size(kWorthless) == kFlowStates - 1);

}  // namespace

Conntrack::Conntrack(FlowStore* store, Counters* counters, uint64_t seed, uint32_t buckets)
    : store_(store),
      counters_(counters),
      seed_(seed),
      mask_(std::bit_floor(buckets < 16 ? 16 : buckets) - 1),
      originals_(NewBuckets(mask_ + 1)),
      replies_(NewBuckets(mask_ + 1)),
      fragments_(counters) {}

Conntrack::~Conntrack() {
  for (uint32_t index = 0; size_ > 0 && index < store_->Used(); index++) {
    BackendTally* tally = store_->links(index).tally;
    if (tally == nullptr) continue;
    store_->links(index).tally = nullptr;
    tally->references.fetch_sub(1, std::memory_order_release);
  }
  munmap(originals_, (size_t{mask_} + 1) * sizeof(uint32_t));
  munmap(replies_, (size_t{mask_} + 1) * sizeof(uint32_t));
}

// As Linux's nf_conntrack has them by default where a packet's flags alone decide; an established
// flow has none: idle is not dead.
uint64_t Conntrack::TimeoutOf(FlowState state) {
  switch (state) {
    case FlowState::kHalfOpen:
      return 60 * kSecond;
    case FlowState::kHalfClosed:
      return 3600 * kSecond;  // may well speak on in one direction
    case FlowState::kClosing:
      return 60 * kSecond;  // TIME-WAIT of Linux
    case FlowState::kClosed:
      return 10 * kSecond;
    case FlowState::kDoomed:
      return 5 * kSecond;
    case FlowState::kUdpNew:
      return 30 * kSecond;
    case FlowState::kUdp:
      return 180 * kSecond;
    case FlowState::kFree:
    case FlowState::kEstablished:
    case FlowState::kCount:
      return 0;
  }
  return 0;
}

uint32_t Conntrack::BucketOf(uint32_t vni, uint8_t protocol, const Ends& ends) const {
  const uint64_t rest = uint64_t{ends.source_port} << 48 | uint64_t{ends.destination_port} << 32 |
                        (vni ^ uint32_t{protocol} << 24);
  // Seeded before anything else is mixed in: what falls together cannot be computed without it.
  const uint64_t hash = Mix64(Mix64(HashOf(ends.source) ^ seed_) ^ HashOf(ends.destination));
  return static_cast<uint32_t>(Mix64(hash ^ rest)) & mask_;
}

uint32_t Conntrack::FindOriginal(uint32_t vni, uint8_t protocol, const Ends& ends) const {
  uint32_t index = originals_[BucketOf(vni, protocol, ends)] - 1;
  while (index != kNone) {
    const Flow& flow = store_->flow(index);
    if (flow.client_port == ends.source_port && flow.vip_port == ends.destination_port &&
        flow.vni == vni && flow.protocol == protocol && flow.client == ends.source &&
        flow.vip == ends.destination) {
      return index;
    }
    index = store_->links(index).next_original - 1;
  }
  return kNone;
}

uint32_t Conntrack::FindReply(uint32_t vni, uint8_t protocol, const Ends& ends) const {
  uint32_t index = replies_[BucketOf(vni, protocol, ends)] - 1;
  while (index != kNone) {
    const Flow& flow = store_->flow(index);
    if (flow.seen_port == ends.destination_port && flow.vni == vni && flow.protocol == protocol &&
        flow.Translated().Reversed() == ends) {
      return index;
    }
    index = store_->links(index).next_reply - 1;
  }
  return kNone;
}

void Conntrack::Index(uint32_t index) {
  const Flow& flow = store_->flow(index);
  FlowLinks& links = store_->links(index);
  uint32_t* original = &originals_[BucketOf(flow.vni, flow.protocol, flow.Original())];
  links.next_original = *original;
  *original = index + 1;
  uint32_t* reply = &replies_[BucketOf(flow.vni, flow.protocol, flow.Translated().Reversed())];
  links.next_reply = *reply;
  *reply = index + 1;
}

void Conntrack::Unindex(uint32_t index) {
  const Flow& flow = store_->flow(index);
  uint32_t* at = &originals_[BucketOf(flow.vni, flow.protocol, flow.Original())];
  while (*at != index + 1) at = &store_->links(*at - 1).next_original;
  *at = store_->links(index).next_original;
  at = &replies_[BucketOf(flow.vni, flow.protocol, flow.Translated().Reversed())];
  while (*at != index + 1) at = &store_->links(*at - 1).next_reply;
  *at = store_->links(index).next_reply;
}

void Conntrack::Link(uint32_t index) {
  List& list = ListOf(index);
  FlowLinks& links = store_->links(index);
  links.newer = kNone;
  links.older = list.newest;
  if (list.newest != kNone) {
    store_->links(list.newest).newer = index;
  } else {
    list.oldest = index;
  }
  list.newest = index;
  list.count++;
}

void Conntrack::Unlink(uint32_t index) {
  List& list = ListOf(index);
  const FlowLinks& links = store_->links(index);
  if (walk_at_ == index) walk_at_ = links.newer;
  if (links.newer != kNone) {
    store_->links(links.newer).older = links.older;
  } else {
    list.newest = links.older;
  }
  if (links.older != kNone) {
    store_->links(links.older).newer = links.newer;
  } else {
    list.oldest = links.newer;
  }
  list.count--;
}

uint32_t Conntrack::TakeFree() {
  if (free_ != kNone) {
    const uint32_t index = free_;
    free_ = store_->links(index).next_original;
    return index;
  }
  if (chunk_next_ == chunk_end_) {
    const uint32_t first = store_->TakeChunk();
    if (first == kNone) return kNone;
    chunk_next_ = first;
    chunk_end_ = first + FlowStore::kChunk;
  }
  return chunk_next_++;
}

uint32_t Conntrack::Evict() {
  for (const FlowState state : kWorthless) {
    const uint32_t oldest = lists_[static_cast<size_t>(state)].oldest;
    if (oldest == kNone) continue;
    Remove(oldest);
    counters_->Add(Counter::vip_flows_evicted);
    return TakeFree();
  }
  return kNone;
}

uint32_t Conntrack::Insert(Flow flow, BackendTally* tally, uint64_t now_ns) {
  uint32_t index = TakeFree();
  if (index == kNone) index = Evict();
  if (index == kNone) return kNone;
  flow.used_ns = now_ns;
  flow.probes = 0;
  store_->Write(index, flow);
  store_->links(index).tally = nullptr;
  Index(index);
  Link(index);
  size_++;
  SetTally(index, tally);
  if (tally != nullptr) tally->flows.fetch_add(1, std::memory_order_relaxed);
  return index;
}

void Conntrack::SetTally(uint32_t index, BackendTally* tally) {
  FlowLinks& links = store_->links(index);
  const bool active = IsActive(store_->flow(index).state);
  if (links.tally != nullptr) {
    if (active) links.tally->active.fetch_sub(1, std::memory_order_relaxed);
    links.tally->references.fetch_sub(1, std::memory_order_release);
  }
  links.tally = tally;
  if (tally != nullptr) {
    tally->references.fetch_add(1, std::memory_order_relaxed);
    if (active) tally->active.fetch_add(1, std::memory_order_relaxed);
  }
}

void Conntrack::Remove(uint32_t index) {
  SetTally(index, nullptr);
  Unlink(index);
  Unindex(index);
  FlowStore::SetState(&store_->flow(index), FlowState::kFree);
  size_--;
  Give(index);
}

void Conntrack::Give(uint32_t index) {
  store_->links(index).tally = nullptr;
  store_->links(index).next_original = free_;
  free_ = index;
}

void Conntrack::SetState(uint32_t index, FlowState state, uint64_t now_ns) {
  Flow& flow = store_->flow(index);
  BackendTally* tally = store_->links(index).tally;
  if (tally != nullptr && IsActive(flow.state) != IsActive(state)) {
    if (IsActive(state)) {
      tally->active.fetch_add(1, std::memory_order_relaxed);
    } else {
      tally->active.fetch_sub(1, std::memory_order_relaxed);
    }
  }
  Unlink(index);
  FlowStore::SetState(&flow, state);
  FlowStore::SetUsed(&flow, now_ns);
  Link(index);
}

void Conntrack::Touch(uint32_t index, uint64_t now_ns) {
  Flow& flow = store_->flow(index);
  if (now_ns < flow.used_ns + kRenewal) return;
  Unlink(index);
  FlowStore::SetUsed(&flow, now_ns);
  Link(index);
}

void Conntrack::Adopt(uint32_t index) {
  store_->links(index).tally = nullptr;
  Index(index);
  Link(index);
  size_++;
}

void Conntrack::Expire(uint64_t now_ns, uint32_t most) {
  for (size_t state = 1; state < kFlowStates; state++) {
    const uint64_t timeout = TimeoutOf(static_cast<FlowState>(state));
    if (timeout == 0) continue;
    while (most > 0 && lists_[state].oldest != kNone) {
      const uint32_t index = lists_[state].oldest;
      if (now_ns < store_->flow(index).used_ns + timeout) break;
      Remove(index);
      counters_->Add(Counter::vip_flows_expired);
      most--;
    }
  }
}

uint32_t Conntrack::Next() {
  while (walk_at_ == kNone) {
    if (++walk_state_ == kFlowStates) {
      walk_state_ = 0;
      return kNone;
    }
    walk_at_ = lists_[walk_state_].oldest;
  }
  const uint32_t index = walk_at_;
  walk_at_ = store_->links(index).newer;
  return index;
}

}  // namespace weft
