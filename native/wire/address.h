// MAC and IP addresses as values: comparable, hashable, copied freely.

#ifndef WEFT_WIRE_ADDRESS_H_
#define WEFT_WIRE_ADDRESS_H_

#include <cstdint>
#include <cstring>

namespace weft {

struct MacAddress {
  uint8_t bytes[6];

  bool operator==(const MacAddress& other) const { return memcmp(bytes, other.bytes, 6) == 0; }
  // The group bit of IEEE 802: multicast, and broadcast as its special case.
  bool IsGroup() const { return (bytes[0] & 1) != 0; }
  bool IsZero() const {
    return (bytes[0] | bytes[1] | bytes[2] | bytes[3] | bytes[4] | bytes[5]) == 0;
  }
  // 01:80:c2:00:00:00 to :0f: frames that no bridge may forward (IEEE 802.1D table 7-10: STP, LACP,
  // LLDP, ...).
  bool IsBridgeReserved() const {
    static constexpr uint8_t kPrefix[5] = {0x01, 0x80, 0xc2, 0x00, 0x00};
    return memcmp(bytes, kPrefix, 5) == 0 && bytes[5] <= 0x0f;
  }
  uint64_t AsInteger() const {
    uint64_t value = 0;
    memcpy(&value, bytes, 6);
    return value;
  }
};

// An IPv4 address is held as ::ffff:a.b.c.d (RFC 4291 section 2.5.5.2), so that one key type serves
// both families.
struct IpAddress {
  uint8_t bytes[16];

  static IpAddress V4(const uint8_t* four) {
    IpAddress address{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0}};
    memcpy(address.bytes + 12, four, 4);
    return address;
  }
  static IpAddress V6(const uint8_t* sixteen) {
    IpAddress address;
    memcpy(address.bytes, sixteen, 16);
    return address;
  }

  bool operator==(const IpAddress& other) const { return memcmp(bytes, other.bytes, 16) == 0; }
  bool IsV4() const {
    static constexpr uint8_t kMapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    return memcmp(bytes, kMapped, 12) == 0;
  }
  const uint8_t* V4Bytes() const { return bytes + 12; }
  // The unspecified address of either family: 0.0.0.0 or ::.
  bool IsUnspecified() const {
    static constexpr uint8_t kZero[16] = {};
    return IsV4() ? memcmp(V4Bytes(), kZero, 4) == 0 : memcmp(bytes, kZero, 16) == 0;
  }
  // Multicast of either family, and 255.255.255.255.
  bool IsGroup() const {
    if (!IsV4()) return bytes[0] == 0xff;
    return bytes[12] >> 4 == 0xe || (bytes[12] & bytes[13] & bytes[14] & bytes[15]) == 0xff;
  }
  // 169.254.0.0/16 and fe80::/10: good on one link only.
  bool IsLinkLocal() const {
    return IsV4() ? bytes[12] == 169 && bytes[13] == 254
                  : bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80;
  }
  // Whether the first `bits` bits (counted in the 128-bit form) are those of `prefix`.
  bool InPrefix(const IpAddress& prefix, unsigned bits) const {
    const unsigned whole = bits / 8;
    if (memcmp(bytes, prefix.bytes, whole) != 0) return false;
    const unsigned rest = bits % 8;
    if (rest == 0) return true;
    const auto mask = static_cast<uint8_t>(0xff << (8 - rest));
    return (bytes[whole] & mask) == (prefix.bytes[whole] & mask);
  }
};

// A 64-bit mixer (the finaliser of splitmix64): every input bit reaches every output bit.
inline uint64_t Mix64(uint64_t value) {
  value ^= value >> 30;
  value *= 0xbf58476d1ce4e5b9u;
  value ^= value >> 27;
  value *= 0x94d049bb133111ebu;
  value ^= value >> 31;
  return value;
}

inline uint64_t HashOf(const IpAddress& address) {
  uint64_t high;
  uint64_t low;
  memcpy(&high, address.bytes, 8);
  memcpy(&low, address.bytes + 8, 8);
  return Mix64(high ^ Mix64(low));
}

}  // namespace weft

#endif  // WEFT_WIRE_ADDRESS_H_
