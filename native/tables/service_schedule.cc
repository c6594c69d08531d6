#include "../tables/service_schedule.h"

#include <algorithm>
#include <numeric>
#include <queue>

namespace weft {

namespace {

int Compare(const IpAddress& a, const IpAddress& b) { return memcmp(a.bytes, b.bytes, 16); }

// Each usable backend as often as it weighs, its turns as evenly apart as they can be: the turn k
// of a backend of weight w is due at (2k + 1) / w; ties go by index.
void PrepareSequence(ServiceRow* row) {
  uint32_t divisor = 0;
  for (const auto& backend : row->backends) {
    if (backend.TakesNewFlows()) divisor = std::gcd(divisor, uint32_t{backend.weight});
  }
  if (divisor == 0) return;
  struct Turn {
    uint32_t odd;  // 2k + 1
    uint32_t weight;
    uint16_t index;
  };
  const auto later = [](const Turn& a, const Turn& b) {
    const uint64_t left = uint64_t{a.odd} * b.weight;
    const uint64_t right = uint64_t{b.odd} * a.weight;
    return left != right ? left > right : a.index > b.index;
  };
  std::priority_queue<Turn, std::vector<Turn>, decltype(later)> due(later);
  for (size_t i = 0; i < row->backends.size(); i++) {
    const auto& backend = row->backends[i];
    if (backend.TakesNewFlows()) {
      due.push({1, backend.weight / divisor, static_cast<uint16_t>(i)});
    }
  }
  while (!due.empty()) {
    Turn turn = due.top();
    due.pop();
    row->sequence.push_back(turn.index);
    turn.odd += 2;
    if (turn.odd < 2 * turn.weight) due.push(turn);
  }
}

// Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load Balancer" (NSDI 2016),
// section 3.4: the backends take turns in claiming the next free slot of their own permutation.
// With weights, one takes part in a round as often as its share of the greatest weight has come up.
void PrepareMaglev(ServiceRow* row) {
  struct Claimant {
    uint16_t index;
    uint32_t weight;
    uint32_t next;
    uint32_t skip;
    uint32_t credit = 0;
  };
  constexpr auto kSlots = static_cast<uint32_t>(ServiceRow::kMaglevSlots);
  constexpr uint16_t kFree = UINT16_MAX;
  std::vector<Claimant> claimants;
  uint32_t heaviest = 0;
  for (size_t i = 0; i < row->backends.size(); i++) {
    const auto& backend = row->backends[i];
    if (!backend.TakesNewFlows()) continue;
    // By the address: the same on every host, whatever else is in the row.
    const uint64_t hash = HashOf(backend.ip);
    claimants.push_back({static_cast<uint16_t>(i), backend.weight,
                         static_cast<uint32_t>(hash % kSlots),
                         static_cast<uint32_t>(Mix64(hash) % (kSlots - 1) + 1)});
    heaviest = std::max(heaviest, uint32_t{backend.weight});
  }
  if (claimants.empty()) return;
  std::sort(claimants.begin(), claimants.end(), [&](const Claimant& a, const Claimant& b) {
    return Compare(row->backends[a.index].ip, row->backends[b.index].ip) < 0;
  });
  row->maglev.assign(kSlots, kFree);
  for (uint32_t filled = 0;;) {
    for (Claimant& claimant : claimants) {
      claimant.credit += claimant.weight;
      if (claimant.credit < heaviest) continue;
      claimant.credit -= heaviest;
      while (row->maglev[claimant.next] != kFree) {
        claimant.next = (claimant.next + claimant.skip) % kSlots;
      }
      row->maglev[claimant.next] = claimant.index;
      if (++filled == kSlots) return;
    }
  }
}

// Fewest active flows for its weight; among equals the one whose turn it is.
size_t LeastLoaded(const ServiceRow& row, size_t first) {
  const size_t count = row.backends.size();
  size_t best = count;
  uint64_t best_active = 0;
  for (size_t i = 0; i < count; i++) {
    const size_t index = (first + i) % count;
    const auto& backend = row.backends[index];
    if (!backend.TakesNewFlows()) continue;
    const uint64_t active = backend.tally->active.load(std::memory_order_relaxed);
    if (best == count || active * row.backends[best].weight < best_active * backend.weight) {
      best = index;
      best_active = active;
    }
  }
  return best;
}

}  // namespace

const ServiceRow::Backend* ServiceRow::Find(const IpAddress& ip) const {
  const auto found = std::lower_bound(by_address.begin(), by_address.end(), ip,
                                      [&](uint16_t index, const IpAddress& wanted) {
                                        return Compare(backends[index].ip, wanted) < 0;
                                      });
  if (found == by_address.end() || !(backends[*found].ip == ip)) return nullptr;
  return &backends[*found];
}

void PrepareSchedule(ServiceRow* row) {
  row->by_address.resize(row->backends.size());
  std::iota(row->by_address.begin(), row->by_address.end(), uint16_t{0});
  std::stable_sort(row->by_address.begin(), row->by_address.end(), [&](uint16_t a, uint16_t b) {
    return Compare(row->backends[a].ip, row->backends[b].ip) < 0;
  });
  PrepareSequence(row);
  if (row->scheduler == Scheduler::kSourceHash || row->scheduler == Scheduler::kMaglev) {
    PrepareMaglev(row);
  }
}

const ServiceRow::Backend* ChooseBackend(const ServiceRow& row, const Chooser& flow) {
  if (row.sequence.empty()) return nullptr;
  size_t index = 0;
  switch (row.scheduler) {
    case Scheduler::kRoundRobin:
      index =
          row.sequence[row.position->fetch_add(1, std::memory_order_relaxed) % row.sequence.size()];
      break;
    case Scheduler::kLeastConnections:
      index = LeastLoaded(
          row, row.position->fetch_add(1, std::memory_order_relaxed) % row.backends.size());
      break;
    case Scheduler::kSourceHash:
      index = row.maglev[HashOf(flow.client) % ServiceRow::kMaglevSlots];
      break;
    case Scheduler::kMaglev: {
      const uint64_t ports =
          uint64_t{flow.client_port} << 24 | uint64_t{flow.vip_port} << 8 | uint64_t{flow.protocol};
      index = row.maglev[Mix64(HashOf(flow.client) ^ Mix64(ports)) % ServiceRow::kMaglevSlots];
      break;
    }
    case Scheduler::kCount:
      return nullptr;
  }
  return &row.backends[index];
}

}  // namespace weft
