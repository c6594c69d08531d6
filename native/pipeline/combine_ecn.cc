#include "../pipeline/combine_ecn.h"

#include "../wire/ecn.h"

namespace weft {

// inner \ outer   not-ECT   ECT(0)    ECT(1)    CE
// not-ECT         not-ECT   not-ECT   not-ECT   drop
// ECT(0)          ECT(0)    ECT(0)    ECT(1)    CE
// ECT(1)          ECT(1)    ECT(1)    ECT(1)    CE
// CE              CE        CE        CE        CE
Verdict CombineEcn(const Passage& passage, uint8_t outer, Frame* frame) {
  const uint8_t marked = outer & kEcnMask;
  if (!passage.key.IsIp() || marked == kNotEct || marked == kEct0) return Verdict::Continue();
  const uint8_t inner = TrafficClassOf(*frame, passage.key) & kEcnMask;
  if (marked == kCe) {
    if (inner == kNotEct) return Verdict::Drop(Counter::drop_congestion);
    if (inner != kCe) SetEcn(frame, passage.key, kCe);
  } else if (inner == kEct0) {
    SetEcn(frame, passage.key, kEct1);
  }
  return Verdict::Continue();
}

}  // namespace weft
