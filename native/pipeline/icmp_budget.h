// How many ICMP errors an endpoint may still be sent: a token bucket.

#ifndef WEFT_PIPELINE_ICMP_BUDGET_H_
#define WEFT_PIPELINE_ICMP_BUDGET_H_

#include <cstdint>

namespace weft {

class IcmpBudget {
 public:
  // RFC 1812 section 4.3.2.8 asks for a limit and leaves the figure open. A burst of 50 is Linux's
  // (icmp_msgs_burst) and serves a traceroute's 16 parallel probes and a ping flood's start; 100 a
  // second keeps a broken sender informed.
  static constexpr uint64_t kBurst = 50;
  static constexpr uint64_t kNsPerToken = 1'000'000'000 / 100;

  // Takes a token; false when there is none. `now_ns` may not run backwards by more than it ran
  // forwards before.
  bool Take(uint64_t now_ns) {
    if (now_ns > full_at_ns_) full_at_ns_ = now_ns;
    const uint64_t owed = full_at_ns_ - now_ns;
    if (owed + kNsPerToken > kBurst * kNsPerToken) return false;
    full_at_ns_ += kNsPerToken;
    return true;
  }

 private:
  // The bucket as one number: the time at which it will be full again.
  uint64_t full_at_ns_ = 0;
};

}  // namespace weft

#endif  // WEFT_PIPELINE_ICMP_BUDGET_H_
