#include "probe.h"

#include <cstring>

namespace weft {

namespace {

constexpr uint32_t kProbeMagic = 0x77656674;  // "weft"
constexpr uint32_t kHelloMagic = 0x77656668;

// The finalizer of splitmix64: each bit of the input changes half of the output's.
uint64_t Mix(uint64_t value) {
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
  value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
  return value ^ (value >> 31);
}

uint32_t CheckOf(const ProbeHeader& header) {
  const uint64_t names = uint64_t{header.magic} << 32 | header.flow;
  const uint64_t sum =
      Mix(Mix(Mix(Mix(names) ^ header.sequence) ^ header.sent_ns) ^ uint64_t{header.length});
  return static_cast<uint32_t>(sum ^ sum >> 32);
}

// The body is a sequence of words that begins at a number of the datagram's own and goes on by a
// fixed odd step: no two words of a datagram are equal, and it costs one addition a word.
constexpr uint64_t kStep = 0x9e3779b97f4a7c15;

uint64_t FirstWord(uint32_t flow, uint64_t sequence) { return Mix(sequence + Mix(flow + kStep)); }

void Write(const ProbeHeader& header, uint8_t* to) {
  ProbeHeader checked = header;
  checked.check = CheckOf(header);
  memcpy(to, &checked, sizeof(checked));
}

void WriteBody(uint64_t word, uint8_t* to, size_t length) {
  size_t at = 0;
  for (; at + sizeof(word) <= length; at += sizeof(word), word += kStep) {
    memcpy(to + at, &word, sizeof(word));
  }
  memcpy(to + at, &word, length - at);
}

bool BodyIsRight(uint64_t word, const uint8_t* body, size_t length) {
  uint64_t difference = 0;
  size_t at = 0;
  for (; at + sizeof(word) <= length; at += sizeof(word), word += kStep) {
    uint64_t found;
    memcpy(&found, body + at, sizeof(found));
    difference |= found ^ word;
  }
  return difference == 0 && memcmp(body + at, &word, length - at) == 0;
}

}  // namespace

void WriteProbe(uint32_t flow, uint64_t sequence, uint64_t sent_ns, size_t length, uint8_t* to) {
  Write({kProbeMagic, flow, sequence, sent_ns, static_cast<uint32_t>(length), 0}, to);
  WriteBody(FirstWord(flow, sequence), to + sizeof(ProbeHeader), length - sizeof(ProbeHeader));
}

void WriteHello(uint32_t flow, uint8_t* to) {
  Write({kHelloMagic, flow, 0, 0, static_cast<uint32_t>(sizeof(ProbeHeader)), 0}, to);
}

ProbeKind CheckProbe(const uint8_t* bytes, size_t length, ProbeHeader* header) {
  if (length < sizeof(ProbeHeader)) return ProbeKind::kForeign;
  memcpy(header, bytes, sizeof(ProbeHeader));
  if (header->magic != kProbeMagic && header->magic != kHelloMagic) return ProbeKind::kForeign;
  if (header->length != length || header->check != CheckOf(*header)) return ProbeKind::kCorrupted;
  if (header->magic == kHelloMagic) return ProbeKind::kHello;
  const uint64_t word = FirstWord(header->flow, header->sequence);
  return BodyIsRight(word, bytes + sizeof(ProbeHeader), length - sizeof(ProbeHeader))
             ? ProbeKind::kGood
             : ProbeKind::kCorrupted;
}

}  // namespace weft
