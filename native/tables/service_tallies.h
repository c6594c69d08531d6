// What outlives a service's rows: the tallies of its backends and its round-robin position.
//
// Used by the control thread. Rows and conntrack entries point at tallies; one is freed when
// neither does, and no reader can still be looking at a row that did.

#ifndef WEFT_TABLES_SERVICE_TALLIES_H_
#define WEFT_TABLES_SERVICE_TALLIES_H_

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "../tables/rcu.h"
#include "../tables/rows.h"

namespace weft {

class ServiceTallies {
 public:
  // Where positions live that outlive the process; nullptr for one that does not fit there.
  using Positions = std::function<std::atomic<uint64_t>*(uint64_t service)>;

  explicit ServiceTallies(RcuDomain* rcu) : rcu_(rcu) {}

  void UsePositions(Positions positions) { positions_ = std::move(positions); }

  // The row of `key` is about to be published: gives it position and tallies.
  void Adopt(const ServiceKey& key, ServiceRow* row);
  // It was published: lets go of what the row before it had.
  void Settle();
  // The row of `key` was removed.
  void Release(const ServiceKey& key);

  // How many are held, for tests of what is freed.
  size_t size() const { return tallies_->size(); }

 private:
  // The service, then the backend's address: bytes, so that one map serves.
  using Name = std::string;
  struct Held {
    std::unique_ptr<BackendTally> tally = std::make_unique<BackendTally>();
    uint32_t rows = 0;
    bool unseen = false;  // no row has it, and no reader sees one that had
  };
  struct KeyHash {
    size_t operator()(const ServiceKey& key) const { return key.Hash(); }
  };

  static Name NameOf(uint64_t service, const IpAddress& ip);
  std::atomic<uint64_t>* PositionOf(uint64_t service);
  void LetGo(const std::vector<Name>& names);
  void Prune();

  RcuDomain* const rcu_;
  Positions positions_;
  // Shared with what is retired: that may outlive this.
  const std::shared_ptr<std::map<Name, Held>> tallies_ = std::make_shared<std::map<Name, Held>>();
  std::vector<Name> replaced_;
  std::unordered_map<ServiceKey, std::vector<Name>, KeyHash> by_row_;
  std::unordered_map<uint64_t, std::unique_ptr<std::atomic<uint64_t>>> own_positions_;
};

}  // namespace weft

#endif  // WEFT_TABLES_SERVICE_TALLIES_H_
