// Until when the CPUs of this host are kept awake for the next packet. Pure: a worker tells it what
// came.
//
// A CPU that has gone to sleep takes some 40 us and more to wake (a virtual one, by way of its
// host), and a packet that is answered at once meets several such wakes. So while small packets
// follow one another, sleep is not worth it. Not where it gains nothing:
//
//   - after bulk: what is read next was on its way already;
//   - when waits are long: nothing is in a hurry.

#ifndef WEFT_WAKEFULNESS_H_
#define WEFT_WAKEFULNESS_H_

#include <algorithm>
#include <cstdint>

namespace weft {

class Wakefulness {
 public:
  // A turn that moved more than some packets.
  static constexpr uint64_t kBulkBytes = 16 * 1024;
  // The longest wait between two that follow one another: a round trip through CPUs that sleep is
  // 0.5 ms.
  static constexpr uint64_t kShortNs = 1'000'000;

  explicit Wakefulness(bool allowed) : allowed_(allowed) {}

  // Something came after a wait of `waited_ns`, and was as large as `bytes`.
  void Came(uint64_t waited_ns, uint64_t bytes, uint64_t now_ns) {
    if (!allowed_) return;
    short_waits_ = waited_ns <= kShortNs ? std::min(short_waits_ + 1, kEnough) : 0;
    if (bytes >= kBulkBytes) {
      pause_until_ns_ = now_ns + kPauseNs;
      until_ns_ = 0;
    } else if (short_waits_ == kEnough && now_ns >= pause_until_ns_) {
      until_ns_ = now_ns + kHoldNs;
    }
  }

  // How long still, if nothing more comes; 0: they may sleep.
  uint64_t RemainingNs(uint64_t now_ns) const {
    return until_ns_ > now_ns ? until_ns_ - now_ns : 0;
  }

 private:
  // One short wait may be chance.
  static constexpr int kEnough = 3;
  // With 1 ms there were 12 stretches a second in a transfer of 8 streams, with 20 one in three
  // seconds.
  static constexpr uint64_t kPauseNs = 20'000'000;
  // Longer than a short wait, so that those who follow one another are one stretch; asking the
  // kernel anew wakes all idle CPUs once.
  static constexpr uint64_t kHoldNs = 5'000'000;

  const bool allowed_;
  int short_waits_ = 0;
  uint64_t pause_until_ns_ = 0;
  uint64_t until_ns_ = 0;
};

}  // namespace weft

#endif  // WEFT_WAKEFULNESS_H_
