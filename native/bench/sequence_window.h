// One flow's sequence numbers as they arrive: what came twice, what came late, what never came.
//
// A bitmap remembers the last kWindow numbers below the highest one seen. What is older than that
// cannot be told from a duplicate and is counted apart (`too_old`).
//
//      0 ............ next - kWindow ............ next - 1 | next
//        too old                     bitmap                  not seen yet
#ifndef WEFT_BENCH_SEQUENCE_WINDOW_H_
#define WEFT_BENCH_SEQUENCE_WINDOW_H_

#include <cstdint>
#include <vector>

namespace weft {

class SequenceWindow {
 public:
  // More than any queue on the way holds.
  static constexpr uint64_t kWindow = 1 << 16;

  void Add(uint64_t sequence);

  uint64_t received() const { return received_; }      // each number once
  uint64_t duplicated() const { return duplicated_; }  // numbers that came again
  uint64_t reordered() const { return reordered_; }    // after a higher number (RFC 4737, 3.3)
  uint64_t too_old() const { return too_old_; }
  // Below the highest number seen; what was lost behind it only the sender knows.
  uint64_t lost() const { return next_ - received_; }

 private:
  bool TestAndSet(uint64_t sequence);
  void Advance(uint64_t to);

  std::vector<uint64_t> seen_ = std::vector<uint64_t>(kWindow / 64);
  uint64_t next_ = 0;
  uint64_t received_ = 0;
  uint64_t duplicated_ = 0;
  uint64_t reordered_ = 0;
  uint64_t too_old_ = 0;
};

}  // namespace weft

#endif  // WEFT_BENCH_SEQUENCE_WINDOW_H_
