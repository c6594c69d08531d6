// How long a worker goes on looking before it sleeps. Pure: the worker tells it what happened.
//
// A CPU that has gone to sleep takes some 40 us to wake (a virtual CPU, by way of its host), and a
// packet that is answered at once meets several such wakes. So a worker whose last waits were short
// looks again for a while. Not where that costs others:
//
//   - after bulk: what is read next was on its way already, and a CPU that seems busy takes no work
//   over from another one;
//   - when somebody else wanted this CPU while we looked (the worker yields each time). Who ran for
//     long may do so again, and a thread that yields gets no turn before the other one's slice is
//     over, some milliseconds; one that sleeps is woken at once;
//   - when waits are long: nothing is in a hurry, and an idle worker sleeps.

#ifndef WEFT_PATIENCE_H_
#define WEFT_PATIENCE_H_

#include <algorithm>
#include <cstdint>

namespace weft {

class Patience {
 public:
  // A turn that moved more than some packets.
  static constexpr uint64_t kBulkBytes = 16 * 1024;

  // `most_ns`: it never looks for longer; 0: it sleeps at once.
  explicit Patience(uint64_t most_ns) : most_ns_(most_ns) {}

  // Something came after a wait of `waited_ns`, and was as large as `bytes`.
  void Came(uint64_t waited_ns, uint64_t bytes, uint64_t now_ns) {
    short_waits_ = waited_ns <= most_ns_ ? std::min(short_waits_ + 1, kMostCounted) : 0;
    if (bytes >= kBulkBytes) pause_until_ns_ = now_ns + kPauseNs;
  }

  // The CPU was offered to others, and came back after so long. False: no more now.
  bool Yielded(uint64_t took_ns, uint64_t now_ns) {
    if (took_ns < kSharedNs) return true;
    if (took_ns >= kHogNs) pause_until_ns_ = now_ns + kHogPauseNs;
    return false;
  }

  // From now on; 0: sleep.
  uint64_t LookForNs(uint64_t now_ns) const {
    return short_waits_ < kMostCounted || now_ns < pause_until_ns_ ? 0 : most_ns_;
  }

 private:
  // One short wait may be chance.
  static constexpr int kMostCounted = 3;
  static constexpr uint64_t kPauseNs = 1'000'000;
  // Another thread ran meanwhile; and one that has work to do for itself.
  static constexpr uint64_t kSharedNs = 5'000;
  static constexpr uint64_t kHogNs = 300'000;
  static constexpr uint64_t kHogPauseNs = 1'000'000'000;

  const uint64_t most_ns_;
  int short_waits_ = 0;
  uint64_t pause_until_ns_ = 0;
};

}  // namespace weft

#endif  // WEFT_PATIENCE_H_
