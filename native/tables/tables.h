// All tables of a dataplane, and the packed batches that change them.
//
// A batch is a sequence of entries, little endian, written by src/dataplane/batch.ts:
//
//   u8 operation (1 put, 2 remove) · u8 table · u32 length · `length` bytes: key, then (put) row
//
// Entries are applied in order. The whole batch is checked before any of it is applied: a malformed
// one changes nothing.

#ifndef WEFT_TABLES_TABLES_H_
#define WEFT_TABLES_TABLES_H_

#include <cstddef>
#include <cstdint>

#include "../tables/rcu_map.h"
#include "../tables/rows.h"
#include "../tables/service_tallies.h"

namespace weft {

enum class TableId : uint8_t {
  kNone = 0,
  kNetwork = 1,
  kPort = 2,
  kFdb = 3,
  kNeighbour = 4,
  kRouter = 5,
  kVtep = 6,
  kService = 7,
  kFlow = 8,  // conntrack: in trails only, `record` is the entry's number
};

struct Tables {
  explicit Tables(RcuDomain* rcu)
      : networks(rcu),
        ports(rcu),
        fdb(rcu),
        neighbours(rcu),
        routers(rcu),
        vteps(rcu),
        services(rcu),
        tallies(rcu) {}

  RcuMap<VniKey, NetworkRow> networks;
  RcuMap<PortKey, PortRow> ports;
  RcuMap<FdbKey, FdbRow> fdb;
  RcuMap<NeighbourKey, NeighbourRow> neighbours;
  RcuMap<RouterKey, RouterRow> routers;
  RcuMap<VtepKey, VtepRow> vteps;
  RcuMap<ServiceKey, ServiceRow> services;

  // What outlives the rows of services; control thread only.
  ServiceTallies tallies;

  // Applies a batch. False, and nothing is changed, when it is malformed.
  bool Apply(const uint8_t* batch, size_t length);
};

}  // namespace weft

#endif  // WEFT_TABLES_TABLES_H_
