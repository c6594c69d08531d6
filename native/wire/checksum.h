// The Internet checksum: sums (RFC 1071) and incremental update (RFC 1624).

#ifndef WEFT_WIRE_CHECKSUM_H_
#define WEFT_WIRE_CHECKSUM_H_

#include <cstdint>

#include "../wire/address.h"
#include "../wire/frame.h"
#include "../wire/ip.h"

namespace weft {

// A one's complement sum under way. It counts 16-bit words in memory order: RFC 1071 section 2(B)
// shows that the sum may be taken in any byte order as long as it is stored in the same.
class ChecksumSum {
 public:
  // Adds `length` bytes; only the last piece added may have an odd length.
  void Add(const uint8_t* data, uint32_t length);
  // Adds a 16-bit number in host order (a length, a protocol).
  void AddNumber(uint16_t value);
  // Folded to 16 bits, not inverted: what a frame with an unfinished checksum carries in its field.
  void StoreSum(Be16* field) const;
  // Folded and inverted: a finished checksum.
  void StoreChecksum(Be16* field) const;
  // The same for UDP, where 0 means "no checksum" and is sent as 0xffff (RFC 768).
  void StoreUdpChecksum(Be16* field) const;
  // Of a packet that holds its own checksum: whether that is right.
  bool IsAllOnes() const;

 private:
  void AddPart(uint64_t part) {
    sum_ += part;
    sum_ += sum_ < part;  // the end-around carry
  }

  uint64_t sum_ = 0;
};

// The pseudo-header of TCP, UDP and ICMPv6 (RFC 793 section 3.1, RFC 8200 section 8.1).
void AddPseudoHeader(ChecksumSum* sum, const Ipv4Header& ip, uint16_t l4_length);
void AddPseudoHeader(ChecksumSum* sum, const Ipv6Header& ip, uint8_t protocol, uint16_t l4_length);

// Fills in the checksum of an IPv4 header (its options included; `header_length` bytes are
// readable).
void StoreIpv4Checksum(Ipv4Header* ip, uint32_t header_length);

// RFC 1624 equation 3: the checksum field after one 16-bit word of what it covers has changed.
void UpdateChecksum(Be16* field, uint16_t before, uint16_t after);

// The difference that a rewrite makes to the checksums that cover it: 16-bit words before and
// after, summed up (RFC 1624 equation 3 for several words at once).
class ChecksumDelta {
 public:
  // `length` is even, and the words begin at an even distance from where the sum begins.
  void Change(const uint8_t* before, const uint8_t* after, uint32_t length) {
    for (uint32_t i = 0; i < length; i += 2) {
      const auto was = static_cast<uint16_t>(before[i] << 8 | before[i + 1]);
      const auto is = static_cast<uint16_t>(after[i] << 8 | after[i + 1]);
      sum_ += static_cast<uint16_t>(~was) + uint32_t{is};
    }
  }
  void Add(const ChecksumDelta& other) { sum_ += other.sum_; }
  // Updates a finished checksum.
  void Update(Be16* field) const;
  // Updates a field that holds the sum itself, as an unfinished checksum does: the sign is the
  // other one.
  void UpdateSum(Be16* field) const;

 private:
  uint32_t sum_ = 0;  // of some dozen words: no carry is lost
};

// Completes the checksum that `frame->offload` says is owed. False when the metadata points outside
// of the frame. Only for a frame that is not a superframe: the segments of one get theirs when it
// is cut.
bool FinishChecksum(Frame* frame);

}  // namespace weft

#endif  // WEFT_WIRE_CHECKSUM_H_
