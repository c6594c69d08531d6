#include "sequence_window.h"

#include <algorithm>

namespace weft {

void SequenceWindow::Add(uint64_t sequence) {
  if (sequence >= next_) {
    Advance(sequence + 1);
    TestAndSet(sequence);
    received_++;
  } else if (sequence + kWindow < next_) {
    too_old_++;
  } else if (TestAndSet(sequence)) {
    duplicated_++;
  } else {
    received_++;
    reordered_++;
  }
}

bool SequenceWindow::TestAndSet(uint64_t sequence) {
  const uint64_t at = sequence % kWindow;
  uint64_t& word = seen_[at / 64];
  const uint64_t bit = uint64_t{1} << at % 64;
  const bool was = (word & bit) != 0;
  word |= bit;
  return was;
}

// The numbers that become part of the window have not been seen.
void SequenceWindow::Advance(uint64_t to) {
  if (to - next_ >= kWindow) {
    std::fill(seen_.begin(), seen_.end(), 0);
  } else {
    for (uint64_t sequence = next_; sequence < to; sequence++) {
      const uint64_t at = sequence % kWindow;
      seen_[at / 64] &= ~(uint64_t{1} << at % 64);
    }
  }
  next_ = to;
}

}  // namespace weft
