// The tables' keys and rows. Each row carries the number of the record that it derives from, for
// those who ask why.

#ifndef WEFT_TABLES_ROWS_H_
#define WEFT_TABLES_ROWS_H_

#include <atomic>
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
  bool services = false;           // the network has VIPs: frames are looked up among them
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

struct ServiceKey {
  uint32_t vni;  // the subnet that the VIP is in
  IpAddress vip;
  bool operator==(const ServiceKey& other) const { return vni == other.vni && vip == other.vip; }
  uint64_t Hash() const { return Mix64(HashOf(vip) ^ vni); }
};

enum class Scheduler : uint8_t { kRoundRobin, kLeastConnections, kSourceHash, kMaglev, kCount };

enum class BackendState : uint8_t {
  kHealthy,
  kDraining,  // no new flows; those that it has go on
  kDead,      // no new flows; UDP goes elsewhere at once, TCP waits for it
  kLost,      // as if it were not in the row: its TCP flows are reset
  kCount,
};

// What a backend of a service has had, on this host. Outlives rows; counted by any worker.
struct BackendTally {
  std::atomic<uint64_t> flows{0};   // ever
  std::atomic<uint32_t> active{0};  // now; of TCP those that are not closing
  std::atomic<uint64_t> packets_out{0};
  std::atomic<uint64_t> bytes_out{0};
  std::atomic<uint64_t> packets_in{0};  // from the backend
  std::atomic<uint64_t> bytes_in{0};
  std::atomic<uint32_t> references{0};  // conntrack entries that point here
};

// A VIP. What a packet for it needs is prepared by the control thread (service_schedule.h).
struct ServiceRow {
  // More weight than this is refused: the sequence below would grow without need.
  static constexpr uint16_t kMostWeight = 256;
  static constexpr size_t kMostBackends = 1024;
  static constexpr size_t kMaglevSlots = 65537;  // a prime, as Maglev's paper has it

  struct MappedPort {
    uint8_t protocol;
    uint16_t port;
    uint16_t target;
  };
  struct Backend {
    RecordNumber record = 0;
    IpAddress ip{};
    uint32_t vni = 0;
    uint16_t weight = 1;
    BackendState state = BackendState::kHealthy;
    BackendTally* tally = nullptr;

    bool TakesNewFlows() const { return state == BackendState::kHealthy && weight > 0; }
  };

  RecordNumber record = 0;
  // The service's number, the same after a restart and in all of its rows.
  uint64_t service = 0;
  MacAddress mac{};
  Scheduler scheduler = Scheduler::kRoundRobin;
  std::vector<MappedPort> ports;  // others pass as they are
  std::vector<Backend> backends;

  // Prepared.
  std::vector<uint16_t>
      sequence;  // round robin: indices of usable backends, each as often as it weighs
  std::vector<uint16_t> maglev;      // kSourceHash, kMaglev: kMaglevSlots of them
  std::vector<uint16_t> by_address;  // all backends, sorted
  // Shared by all workers and rows of the service; never null in a table.
  std::atomic<uint64_t>* position = nullptr;

  // nullptr: it has no such backend.
  const Backend* Find(const IpAddress& ip) const;
  uint16_t TargetOf(uint8_t protocol, uint16_t port) const {
    for (const MappedPort& mapped : ports) {
      if (mapped.port == port && mapped.protocol == protocol) return mapped.target;
    }
    return port;
  }
};

}  // namespace weft

#endif  // WEFT_TABLES_ROWS_H_
