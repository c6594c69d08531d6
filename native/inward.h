// The way in from the underlay for what the coalescer gives: pipeline, then executor.

#ifndef WEFT_INWARD_H_
#define WEFT_INWARD_H_

#include <vector>

#include "counters.h"
#include "executor.h"
#include "io/coalescer.h"
#include "pipeline/from_underlay.h"
#include "tables/tables.h"

namespace weft {

class Inward final : public FrameSink {
 public:
  Inward(const Tables& tables, Executor* executor, Counters* counters, uint64_t now_ns)
      : tables_(tables), executor_(executor), counters_(counters), now_ns_(now_ns) {}

  // What has come in, before it is put together.
  void Count(const Arrival& arrival) {
    counters_->Add(Counter::underlay_rx_datagrams, arrival.datagrams());
    counters_->Add(Counter::underlay_rx_bytes, arrival.length);
  }

  void Take(VtepAddress source, uint8_t tos, Frame* frame) override {
    if (frame->datagrams > 1) counters_->Add(Counter::superframes_joined);
    PacketKey key;
    Verdict verdict = FromUnderlay(tables_, source, tos, now_ns_, frame, &key);
    executor_->Carry(&verdict, key, nullptr, now_ns_, frame);
    if (verdicts_ != nullptr) verdicts_->push_back(verdict);
  }

  // For who wants to see them.
  void Note(std::vector<Verdict>* verdicts) { verdicts_ = verdicts; }

 private:
  const Tables& tables_;
  Executor* const executor_;
  Counters* const counters_;
  const uint64_t now_ns_;
  std::vector<Verdict>* verdicts_ = nullptr;
};

}  // namespace weft

#endif  // WEFT_INWARD_H_
