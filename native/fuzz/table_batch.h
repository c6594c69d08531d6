// The tables that the fuzzer's frames meet, as the packed batch that src/dataplane/batch.ts would
// send.
//
//   port 1  02:42:0a:00:01:02  10.0.1.2  fd57:1::2   VNI 4097 ┐ one network: routed between
//   port 2  02:42:0a:00:02:02  10.0.2.2              VNI 4098 ┘
//   host 192.168.1.12 has 02:42:0a:00:01:04 10.0.1.4 in 4097; 172.31.1.13 is a learning peer there
//
// VIPs 10.0.1.200, fd57:1::c8 of 1.2, 1.4 and 2.2 (so port 1 may reach itself), 10.0.2.200 by
// maglev of a backend that is dead, and 10.0.2.201 of nobody; port 8000 of TCP is mapped to 80.

#ifndef WEFT_FUZZ_TABLE_BATCH_H_
#define WEFT_FUZZ_TABLE_BATCH_H_

#include <cstdint>
#include <initializer_list>
#include <vector>

#include "../tables/tables.h"

namespace weft::fuzz {

class BatchWriter {
 public:
  using Bytes = std::initializer_list<uint8_t>;

  BatchWriter& Put(TableId table) {
    Finish();
    out_.push_back(1);
    out_.push_back(static_cast<uint8_t>(table));
    return U32(0);
  }
  // A service's row up to its backends, of which there are `backends`.
  BatchWriter& Service(uint64_t service, Bytes mac, Scheduler scheduler, uint32_t backends) {
    U32(20).U32(static_cast<uint32_t>(service)).U32(static_cast<uint32_t>(service >> 32)).Raw(mac);
    Raw({static_cast<uint8_t>(scheduler)});
    U32(1).Raw({6}).U16(8000).U16(80);
    return U32(backends);
  }
  // What follows a backend's record and address.
  BatchWriter& Backend(uint32_t vni, uint16_t weight, BackendState state) {
    return U32(vni).U16(weight).Raw({static_cast<uint8_t>(state)});
  }
  BatchWriter& U32(uint32_t value) {
    for (int shift = 0; shift < 32; shift += 8)
      out_.push_back(static_cast<uint8_t>(value >> shift));
    return *this;
  }
  BatchWriter& U16(uint16_t value) {
    return Raw({static_cast<uint8_t>(value), static_cast<uint8_t>(value >> 8)});
  }
  BatchWriter& Raw(Bytes bytes) {
    out_.insert(out_.end(), bytes);
    return *this;
  }
  BatchWriter& Ip4(Bytes four) { return Raw({0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}).Raw(four); }
  BatchWriter& Ip6(uint8_t subnet, uint8_t host) {
    return Raw({0xfd, 0x57, 0, subnet, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, host});
  }
  const std::vector<uint8_t>& Finish() {
    if (start_ < out_.size()) {
      constexpr size_t kHeader = 6;
      const auto length = static_cast<uint32_t>(out_.size() - start_ - kHeader);
      for (int i = 0; i < 4; i++)
        out_[start_ + 2 + static_cast<size_t>(i)] = static_cast<uint8_t>(length >> (8 * i));
    }
    start_ = out_.size();
    return out_;
  }

 private:
  std::vector<uint8_t> out_;
  size_t start_ = 0;
};

inline std::vector<uint8_t> TableBatch() {
  BatchWriter w;
  const auto subnet = [&](uint32_t vni, uint8_t number, uint32_t port) {
    w.Put(TableId::kNetwork).U32(vni).U32(number).U32(4097).U16(1450);
    w.Raw({0x02, 0x42, 10, 0, number, 1}).Ip4({10, 0, number, 1}).Ip6(number, 1);
    w.Raw({1});                       // has VIPs
    w.U32(1).U32(port);               // local ports
    w.U32(1).Raw({192, 168, 1, 12});  // flood list
    w.U32(1).Raw({172, 31, 1, 13});   // learning peers
    w.Put(TableId::kPort).U32(port).U32(number).U32(vni);
    w.Put(TableId::kFdb).U32(vni).Raw({0x02, 0x42, 10, 0, number, 2}).U32(number).U32(port).U32(0);
    w.Put(TableId::kFdb).U32(vni).Raw({0x02, 0x42, 10, 0, number, 4}).U32(number).U32(0);
    w.Raw({192, 168, 1, 12});
    const auto neighbour = [&](uint8_t host, bool gateway) {
      const uint8_t flag = gateway ? 1 : 0;
      w.Put(TableId::kNeighbour).U32(vni).Ip4({10, 0, number, host}).U32(number);
      w.Raw({0x02, 0x42, 10, 0, number, host, flag});
      w.Put(TableId::kNeighbour).U32(vni).Ip6(number, host).U32(number);
      w.Raw({0x02, 0x42, 10, 0, number, host, flag});
    };
    neighbour(1, true);
    neighbour(2, false);
    neighbour(4, false);
  };
  w.Put(TableId::kVtep).Raw({192, 168, 1, 12}).U32(7);
  w.Put(TableId::kVtep).Raw({172, 31, 1, 13}).U32(8);
  w.Put(TableId::kRouter).U32(4097).U32(9).U32(4);
  w.Ip4({10, 0, 1, 0}).Raw({120}).U32(4097).Ip6(1, 0).Raw({64}).U32(4097);
  w.Ip4({10, 0, 2, 0}).Raw({120}).U32(4098).Ip6(2, 0).Raw({64}).U32(4098);
  w.U32(4).Ip4({10, 0, 1, 1}).Ip6(1, 1).Ip4({10, 0, 2, 1}).Ip6(2, 1);
  subnet(4097, 1, 1);
  subnet(4098, 2, 2);
  constexpr auto kUp = BackendState::kHealthy;
  w.Put(TableId::kService).U32(4097).Ip4({10, 0, 1, 200});
  w.Service(7, {0x02, 0x42, 10, 0, 1, 200}, Scheduler::kRoundRobin, 3);
  w.U32(21).Ip4({10, 0, 1, 2}).Backend(4097, 1, kUp);
  w.U32(22).Ip4({10, 0, 1, 4}).Backend(4097, 2, kUp);
  w.U32(23).Ip4({10, 0, 2, 2}).Backend(4098, 1, kUp);
  w.Put(TableId::kService).U32(4097).Ip6(1, 200);
  w.Service(7, {0x02, 0x42, 10, 0, 1, 200}, Scheduler::kLeastConnections, 2);
  w.U32(21).Ip6(1, 2).Backend(4097, 1, kUp);
  w.U32(22).Ip6(1, 4).Backend(4097, 1, kUp);
  w.Put(TableId::kService).U32(4098).Ip4({10, 0, 2, 200});
  w.Service(8, {0x02, 0x42, 10, 0, 2, 200}, Scheduler::kMaglev, 1);
  w.U32(23).Ip4({10, 0, 2, 2}).Backend(4098, 1, BackendState::kDead);
  w.Put(TableId::kService).U32(4098).Ip4({10, 0, 2, 201});
  w.Service(9, {0x02, 0x42, 10, 0, 2, 201}, Scheduler::kSourceHash, 0);
  return w.Finish();
}

}  // namespace weft::fuzz

#endif  // WEFT_FUZZ_TABLE_BATCH_H_
