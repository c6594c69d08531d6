// Read-copy-update: how the control thread replaces what workers read without locks.
//
// Model. A reader is *online* while it processes a batch and *offline* while it waits. Everything
// it reads from a table is valid until it goes offline; it keeps no pointer across that. The writer
// first unlinks an object, then retires it: from then on no reader can find it, only readers that
// were already online may still look at it. Each retirement advances a global epoch; a reader notes
// the epoch it went online in. An object is freed once every reader is offline or went online in an
// epoch at or after its retirement.
//
// One writer thread. Readers never wait; the writer never waits either: it frees what it can on
// each Collect().

#ifndef WEFT_TABLES_RCU_H_
#define WEFT_TABLES_RCU_H_

#include <atomic>
#include <cassert>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <utility>

namespace weft {

class RcuDomain {
 public:
  // As many as there can be workers; more than any machine this runs on gives to one daemon.
  static constexpr int kMaxReaders = 64;

  RcuDomain() = default;
  RcuDomain(const RcuDomain&) = delete;
  RcuDomain& operator=(const RcuDomain&) = delete;
  ~RcuDomain() {
    for (auto& item : retired_) item.destroy();
  }

  // Reader side; `reader` is the caller's own index.
  void Online(int reader) {
    // Release, as Offline() does: the writer may see this value in place of the 0 before it, and
    // what this reader has read until now must have happened before anything is freed.
    readers_[reader].epoch.store(epoch_.load(std::memory_order_acquire), std::memory_order_release);
    // Orders the store before the reads of tables that follow; pairs with the fence in Collect().
    // Either the writer sees this reader online, or the reader sees what the writer unlinked.
    std::atomic_thread_fence(std::memory_order_seq_cst);
  }
  void Offline(int reader) { readers_[reader].epoch.store(0, std::memory_order_release); }

  // Writer side. `destroy` runs on the writer's thread in a later Collect().
  void Retire(std::function<void()> destroy) {
    const uint64_t epoch = epoch_.fetch_add(1, std::memory_order_acq_rel) + 1;
    retired_.push_back({epoch, std::move(destroy)});
  }
  // Frees what no reader can still see; returns how many objects are left waiting.
  size_t Collect() {
    if (retired_.empty()) return 0;
    std::atomic_thread_fence(std::memory_order_seq_cst);
    uint64_t oldest = UINT64_MAX;
    for (const auto& reader : readers_) {
      const uint64_t epoch = reader.epoch.load(std::memory_order_acquire);
      if (epoch != 0 && epoch < oldest) oldest = epoch;
    }
    while (!retired_.empty() && retired_.front().epoch <= oldest) {
      auto destroy = std::move(retired_.front().destroy);
      retired_.pop_front();
      destroy();
    }
    return retired_.size();
  }

 private:
  struct alignas(64) Reader {
    std::atomic<uint64_t> epoch{0};  // 0: offline
  };
  struct Retired {
    uint64_t epoch;
    std::function<void()> destroy;
  };

  std::atomic<uint64_t> epoch_{1};
  Reader readers_[kMaxReaders];
  std::deque<Retired> retired_;
};

}  // namespace weft

#endif  // WEFT_TABLES_RCU_H_
