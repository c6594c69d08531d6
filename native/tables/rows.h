// The tables' keys and rows. Each row carries the number of the record that it derives from, for
// those who ask why.

#ifndef WEFT_TABLES_ROWS_H_
#define WEFT_TABLES_ROWS_H_

#include <cstdint>
#include <vector>

#include "../wire/address.h"

namespace weft {

// Given by the programmer; 0: no single record.
using RecordNumber = uint32_t;
// A local endpoint's place in the dataplane, given by who opens it; never reused within a daemon's
// life.
using PortId = uint32_t;
// An IPv4 underlay address, in the order of its bytes on the wire.
using VtepAddress = uint32_t;

struct VniKey {
  uint32_t vni;
  bool operator==(const VniKey&) const = default;
  uint64_t Hash() const { return Mix64(vni); }
};

// One L2 segment: a subnet of a network.
struct NetworkRow {
  RecordNumber record = 0;
  uint32_t router = 0;  // the network that this subnet belongs to; 0: none, no gateway here
  uint16_t mtu = 0;     // of IP packets inside
  MacAddress gateway_mac{};
  IpAddress gateway4{};  // unspecified: none
  IpAddress gateway6{};
  std::vector<PortId> ports;       // endpoints of this host
  std::vector<VtepAddress> vteps;  // hosts with endpoints on it: the flood list
  // Foreign VTEPs whose endpoints nobody declares: what they send is not checked against the FDB.
  std::vector<VtepAddress> learning;
};

struct PortKey {
  PortId port;
  bool operator==(const PortKey&) const = default;
  uint64_t Hash() const { return Mix64(port); }
};

struct PortRow {
  RecordNumber record = 0;
  uint32_t vni = 0;
};

struct FdbKey {
  uint32_t vni;
  MacAddress mac;
  bool operator==(const FdbKey& other) const { return vni == other.vni && mac == other.mac; }
  uint64_t Hash() const { return Mix64(mac.AsInteger() ^ static_cast<uint64_t>(vni) << 40); }
};

struct FdbRow {
  RecordNumber record = 0;
  PortId port = 0;       // 0: on another host
  VtepAddress vtep = 0;  // when port is 0

  bool IsLocal() const { return port != 0; }
};

struct NeighbourKey {
  uint32_t vni;
  IpAddress ip;
  bool operator==(const NeighbourKey& other) const { return vni == other.vni && ip == other.ip; }
  uint64_t Hash() const { return Mix64(HashOf(ip) ^ vni); }
};

struct NeighbourRow {
  RecordNumber record = 0;
  MacAddress mac{};
  bool gateway = false;
};

struct RouterKey {
  uint32_t router;
  bool operator==(const RouterKey&) const = default;
  uint64_t Hash() const { return Mix64(router); }
};

// A network seen as a router: its subnets, and the addresses that it answers to itself.
struct RouterRow {
  struct Subnet {
    IpAddress prefix;
    uint8_t bits;  // in the 128-bit form: an IPv4 /24 is 120
    uint32_t vni;
  };
  RecordNumber record = 0;
  std::vector<Subnet> subnets;
  std::vector<IpAddress> addresses;

  // Subnets of a network do not overlap, so the first that holds the address is the only one.
  const Subnet* SubnetOf(const IpAddress& ip) const {
    for (const Subnet& subnet : subnets) {
      if (ip.InPrefix(subnet.prefix, subnet.bits)) return &subnet;
    }
    return nullptr;
  }
  bool Owns(const IpAddress& ip) const {
    for (const IpAddress& address : addresses) {
      if (address == ip) return true;
    }
    return false;
  }
};

struct VtepKey {
  VtepAddress vtep;
  bool operator==(const VtepKey&) const = default;
  uint64_t Hash() const { return Mix64(vtep); }
};

struct VtepRow {
  RecordNumber record = 0;
};

}  // namespace weft

#endif  // WEFT_TABLES_ROWS_H_
