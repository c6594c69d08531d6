// Where flows are kept: a file, mapped, that the next daemon maps again.
//
//   header · positions (round robin, per service) · flows
//
// Only what is in the file survives; indices, lists and counts are made anew from it. A process may
// be killed between any two stores: a flow's state is written last when it is made and first when
// it is freed, and what is read back is checked flow by flow. A file that is not ours, of another
// version, or whose header is torn is set aside, not trusted.
//
// Workers take flows in chunks, each for itself; who owns a flow is not in the file.

#ifndef WEFT_NAT_FLOW_STORE_H_
#define WEFT_NAT_FLOW_STORE_H_

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "../nat/flow.h"
#include "../tables/rows.h"

namespace weft {

// What belongs to a flow in this process: its places in the index and among those of its state.
// Written by the worker that owns the flow.
struct FlowLinks {
  uint32_t next_original;
  uint32_t next_reply;
  uint32_t newer;
  uint32_t older;
  BackendTally* tally;
};
static_assert(sizeof(FlowLinks) == 24);

class FlowStore {
 public:
  static constexpr uint32_t kChunk = 256;
  static constexpr uint32_t kNone = UINT32_MAX;
  static constexpr uint32_t kPositions = 4096;

  FlowStore() = default;
  ~FlowStore();
  FlowStore(const FlowStore&) = delete;
  FlowStore& operator=(const FlowStore&) = delete;

  // Maps `path` with room for `capacity` flows, rounded up to chunks; with an empty path, memory
  // that nothing outlives. False with a reason when it cannot; `note` says what was found wrong and
  // set aside, and stays empty otherwise.
  bool Open(const std::string& path, uint32_t capacity, std::string* error, std::string* note);

  // Lets another one have the file. What is mapped stays readable.
  void Close();

  uint32_t capacity() const { return capacity_; }
  // Flows were in the file when it was opened.
  bool restored() const { return restored_; }
  // Flows beyond it were never used.
  uint32_t Used() const;
  Flow& flow(uint32_t index) { return flows_[index]; }
  const Flow& flow(uint32_t index) const { return flows_[index]; }
  FlowLinks& links(uint32_t index) { return links_[index]; }

  // Any thread: the first flow of kChunk unused ones; kNone: all are taken.
  uint32_t TakeChunk();

  // Owner: makes a flow of a free one, so that it is whole or not there.
  void Write(uint32_t index, const Flow& flow);
  // Any thread: a copy; false when it is free or being changed.
  bool Read(uint32_t index, Flow* flow) const;
  // Owner: small changes that readers may see.
  static void SetState(Flow* flow, FlowState state);
  static void SetFlags(Flow* flow, uint8_t flags);
  static void SetProbes(Flow* flow, uint8_t probes);
  static void SetUsed(Flow* flow, uint64_t used_ns);

  // Control thread: the position of a service; nullptr when there is no room for another one.
  std::atomic<uint64_t>* Position(uint64_t service);

 private:
  struct Header;
  struct KeptPosition {
    std::atomic<uint64_t> service;
    std::atomic<uint64_t> position;
  };

  bool MapFile(const std::string& path, std::string* error, std::string* note);
  bool Map(int fd, std::string* error);
  // Why the file's header is not ours; empty: it is.
  std::string Judge(int fd, uint64_t size) const;
  bool Make(const std::string& path, std::string* error);
  // Flows and positions of a good file of another capacity.
  bool Move(int fd, const std::string& path, std::string* error);
  void Validate();
  void Unmap();

  uint32_t capacity_ = 0;
  bool restored_ = false;
  int fd_ = -1;
  uint8_t* base_ = nullptr;
  size_t length_ = 0;
  KeptPosition* positions_ = nullptr;
  Flow* flows_ = nullptr;
  FlowLinks* links_ = nullptr;
};

}  // namespace weft

#endif  // WEFT_NAT_FLOW_STORE_H_
