// Conntrack: the flows to VIPs that one worker owns, found by either tuple.
//
// A flow belongs to the worker of its client's endpoint, which sees both directions of it, so
// nothing here is locked. Two hash indices with chains through FlowLinks: a lookup costs one bucket
// and, as a rule, one flow, however many there are. Flows of one state stand in one list in the
// order of their last use; a state has one timeout, so what expires, or has to make room, is at its
// end.

#ifndef WEFT_NAT_CONNTRACK_H_
#define WEFT_NAT_CONNTRACK_H_

#include <cstdint>

#include "../counters.h"
#include "../nat/flow_store.h"
#include "../nat/fragment_map.h"

namespace weft {

class Conntrack {
 public:
  static constexpr uint32_t kNone = FlowStore::kNone;
  static constexpr uint64_t kSecond = 1'000'000'000;
  // Moving a flow to the front of its list at each packet would cost as much as finding it.
  static constexpr uint64_t kRenewal = kSecond;
  // Nothing is known of a flow's end while its client, service or backend may merely not be
  // programmed yet: so long after a start that found flows.
  static constexpr uint64_t kGrace = 10 * kSecond;

  // `seed`: so that nobody outside can choose tuples that fall into one bucket. `buckets`: for as
  // many flows, each way.
  Conntrack(FlowStore* store, Counters* counters, uint64_t seed, uint32_t buckets);
  ~Conntrack();
  Conntrack(const Conntrack&) = delete;
  Conntrack& operator=(const Conntrack&) = delete;

  // kNone: no such flow. `vni` is the client's; `ends` as the client sends, or as the backend does.
  uint32_t FindOriginal(uint32_t vni, uint8_t protocol, const Ends& ends) const;
  uint32_t FindReply(uint32_t vni, uint8_t protocol, const Ends& ends) const;

  // Makes a flow, in place of the least worthy one when there is no room. `check` and `used_ns` are
  // filled in; `tally` may be nullptr. kNone: no room at all.
  uint32_t Insert(Flow flow, BackendTally* tally, uint64_t now_ns);
  void Remove(uint32_t index);
  void SetState(uint32_t index, FlowState state, uint64_t now_ns);
  // It was used: by a packet, or as somebody else has seen.
  void Touch(uint32_t index, uint64_t now_ns);

  // Takes in a flow that was in the file. Of those of one state the least recently used comes
  // first.
  void Adopt(uint32_t index);
  // Takes a place that is free.
  void Give(uint32_t index);
  // The file's flows were found at `now_ns`.
  void BeginGrace(uint64_t now_ns) { grace_until_ns_ = now_ns + kGrace; }
  bool InGrace(uint64_t now_ns) const { return now_ns < grace_until_ns_; }

  // Removes what has expired, at most `most` flows.
  void Expire(uint64_t now_ns, uint32_t most);
  // The next flow of a walk over all of them, the least recently used first; kNone at the end of a
  // round. What it gave may be changed or removed before the next call.
  uint32_t Next();

  Flow& flow(uint32_t index) { return store_->flow(index); }
  BackendTally* tally(uint32_t index) { return store_->links(index).tally; }
  // After a start a flow has no tally until its backend's row is there.
  void SetTally(uint32_t index, BackendTally* tally);
  uint32_t size() const { return size_; }
  uint32_t count(FlowState state) const { return lists_[static_cast<size_t>(state)].count; }
  FragmentMap& fragments() { return fragments_; }
  Counters& counters() { return *counters_; }

  // nullptr: a state that no timer ends.
  static uint64_t TimeoutOf(FlowState state);
  static bool IsActive(FlowState state) {
    return state != FlowState::kClosing && state != FlowState::kClosed;
  }

 private:
  struct List {
    uint32_t newest = kNone;
    uint32_t oldest = kNone;
    uint32_t count = 0;
  };

  uint32_t BucketOf(uint32_t vni, uint8_t protocol, const Ends& ends) const;
  uint32_t TakeFree();
  uint32_t Evict();
  void Index(uint32_t index);
  void Unindex(uint32_t index);
  void Link(uint32_t index);
  void Unlink(uint32_t index);
  List& ListOf(uint32_t index) { return lists_[static_cast<size_t>(store_->flow(index).state)]; }

  FlowStore* const store_;
  Counters* const counters_;
  const uint64_t seed_;
  const uint32_t mask_;
  // 4 bytes a bucket, so that untouched ones cost nothing.
  uint32_t* const originals_;
  uint32_t* const replies_;
  List lists_[kFlowStates];
  uint32_t size_ = 0;
  uint32_t free_ = kNone;    // a chain through next_original
  uint32_t chunk_next_ = 0;  // of the chunk that is being used up
  uint32_t chunk_end_ = 0;
  size_t walk_state_ = 0;  // where Next() is: a state, and a flow of it
  uint32_t walk_at_ = kNone;
  uint64_t grace_until_ns_ = 0;
  FragmentMap fragments_;
};

}  // namespace weft

#endif  // WEFT_NAT_CONNTRACK_H_
