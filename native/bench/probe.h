// A datagram of weft-flood: who it is, when it left, and a payload that its receiver can check.
//
// Sender and sink share a machine (they share its clock), so fields are in the machine's byte
// order. The body is a function of flow and sequence; the header has a checksum of its own, so that
// a corrupted number is not taken for a loss or a reordering.
#ifndef WEFT_BENCH_PROBE_H_
#define WEFT_BENCH_PROBE_H_

#include <cstddef>
#include <cstdint>

namespace weft {

struct ProbeHeader {
  uint32_t magic;
  uint32_t flow;
  uint64_t sequence;  // from 0 in each flow
  uint64_t sent_ns;   // clock.h
  uint32_t length;    // of the whole datagram
  uint32_t check;     // over the fields above
};
static_assert(sizeof(ProbeHeader) == 32);

constexpr size_t kMinProbe = sizeof(ProbeHeader);
constexpr size_t kMaxProbe = 65507;  // what UDP over IPv4 can carry

enum class ProbeKind {
  kGood,
  kHello,      // "are you there?", answered by the sink with the same bytes
  kCorrupted,  // ours, but not as it was sent
  kForeign,    // not ours
};

// Writes a whole datagram of `length` bytes.
void WriteProbe(uint32_t flow, uint64_t sequence, uint64_t sent_ns, size_t length, uint8_t* to);
void WriteHello(uint32_t flow, uint8_t* to);  // kMinProbe bytes

// What a received datagram is; fills `header` unless it is foreign.
ProbeKind CheckProbe(const uint8_t* bytes, size_t length, ProbeHeader* header);

}  // namespace weft

#endif  // WEFT_BENCH_PROBE_H_
