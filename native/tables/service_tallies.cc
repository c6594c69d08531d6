#include "../tables/service_tallies.h"

namespace weft {

ServiceTallies::Name ServiceTallies::NameOf(uint64_t service, const IpAddress& ip) {
  Name name(reinterpret_cast<const char*>(&service), sizeof(service));
  name.append(reinterpret_cast<const char*>(ip.bytes), sizeof(ip.bytes));
  return name;
}

std::atomic<uint64_t>* ServiceTallies::PositionOf(uint64_t service) {
  if (positions_) {
    std::atomic<uint64_t>* kept = positions_(service);
    if (kept != nullptr) return kept;
  }
  auto& own = own_positions_[service];
  if (own == nullptr) own = std::make_unique<std::atomic<uint64_t>>(0);
  return own.get();
}

void ServiceTallies::Adopt(const ServiceKey& key, ServiceRow* row) {
  row->position = PositionOf(row->service);
  std::vector<Name> names;
  for (ServiceRow::Backend& backend : row->backends) {
    names.push_back(NameOf(row->service, backend.ip));
    Held& held = (*tallies_)[names.back()];
    held.rows++;
    held.unseen = false;
    backend.tally = held.tally.get();
  }
  replaced_ = std::exchange(by_row_[key], std::move(names));
}

void ServiceTallies::Settle() {
  LetGo(std::exchange(replaced_, {}));
  Prune();
}

void ServiceTallies::Release(const ServiceKey& key) {
  const auto found = by_row_.find(key);
  if (found == by_row_.end()) return;
  const std::vector<Name> before = std::move(found->second);
  by_row_.erase(found);
  LetGo(before);
  Prune();
}

void ServiceTallies::LetGo(const std::vector<Name>& names) {
  std::vector<Name> rowless;
  for (const Name& name : names) {
    if (--tallies_->at(name).rows == 0) rowless.push_back(name);
  }
  if (rowless.empty()) return;
  rcu_->Retire([tallies = tallies_, rowless] {
    for (const Name& name : rowless) {
      const auto found = tallies->find(name);
      if (found != tallies->end() && found->second.rows == 0) found->second.unseen = true;
    }
  });
}

// Whoever made an entry from such a row has done so: only entries may still point there.
void ServiceTallies::Prune() {
  for (auto it = tallies_->begin(); it != tallies_->end();) {
    const bool idle = it->second.tally->references.load(std::memory_order_acquire) == 0;
    it = it->second.unseen && idle ? tallies_->erase(it) : std::next(it);
  }
}

}  // namespace weft
