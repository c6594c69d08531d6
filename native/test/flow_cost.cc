// What conntrack costs at 1, 1,000 and 100,000 flows: a lookup, a packet through the whole
// pipeline, and memory (scripts/measure-flows).
//
//   flow_cost [ROUNDS]      of a million lookups; 5 when not told, the best one counts
//
// "one": packets of one flow among so many, as a transfer has them: what the table's structure
// costs. "any": of all of them at random: what the machine's caches add.

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "../dataplane.h"
#include "../fuzz/table_batch.h"
#include "../pipeline/from_tap.h"
#include "../wire/ethernet.h"
#include "../wire/ip.h"
#include "../wire/transport.h"

namespace weft {
namespace {

constexpr uint32_t kLookups = 1'000'000;
constexpr uint32_t kMost = 100'000;
constexpr PortId kPort = 1;

uint64_t ResidentBytes() {
  FILE* file = fopen("/proc/self/statm", "r");
  unsigned long total = 0;
  unsigned long resident = 0;
  if (file == nullptr || fscanf(file, "%lu %lu", &total, &resident) != 2) resident = 0;
  if (file != nullptr) fclose(file);
  return uint64_t{resident} * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

// The i-th flow: of as many client ports as there are, then of other ports of the VIP.
struct Ports {
  uint16_t client;
  uint16_t vip;
};
Ports PortsOf(uint32_t i) {
  return {static_cast<uint16_t>(1024 + i % 60'000), static_cast<uint16_t>(80 + i / 60'000)};
}

// A SYN of 10.0.1.2 to the VIP 10.0.1.200.
struct Packet {
  uint8_t buffer[kHeadroom + 128] = {};
  Frame frame{buffer, sizeof(buffer), 54};

  explicit Packet(Ports ports, uint8_t flags) {
    auto* ethernet = frame.Get<EthernetHeader>(0);
    ethernet->destination = {{0x02, 0x42, 10, 0, 1, 200}};
    ethernet->source = {{0x02, 0x42, 10, 0, 1, 2}};
    ethernet->type.Set(kEtherTypeIpv4);
    auto* ip = frame.Get<Ipv4Header>(14);
    ip->version_and_words = 0x45;
    ip->total_length.Set(40);
    ip->ttl = 64;
    ip->protocol = kProtocolTcp;
    const uint8_t source[4] = {10, 0, 1, 2};
    const uint8_t destination[4] = {10, 0, 1, 200};
    memcpy(ip->source, source, 4);
    memcpy(ip->destination, destination, 4);
    auto* tcp = frame.Get<TcpHeader>(34);
    tcp->source_port.Set(ports.client);
    tcp->destination_port.Set(ports.vip);
    tcp->words_and_reserved = 0x50;
    tcp->flags = flags;
  }
};

Ends EndsOfPorts(Ports ports) {
  const uint8_t source[4] = {10, 0, 1, 2};
  const uint8_t destination[4] = {10, 0, 1, 200};
  return {IpAddress::V4(source), IpAddress::V4(destination), ports.client, ports.vip};
}

// Nanoseconds for one of kLookups calls, the best of `rounds`.
template <typename Call>
double Best(int rounds, Call call) {
  double best = 1e9;
  for (int round = 0; round < rounds; round++) {
    const auto begin = std::chrono::steady_clock::now();
    for (uint32_t i = 0; i < kLookups; i++) call(i);
    const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - begin;
    best = std::min(best, took.count() / kLookups);
  }
  return best;
}

int Run(int rounds) {
  // Tables as the fuzzer has them; a store and a conntrack of our own, as a worker has them.
  RcuDomain rcu;
  Tables tables(&rcu);
  const std::vector<uint8_t> batch = fuzz::TableBatch();
  if (!tables.Apply(batch.data(), batch.size())) return 1;
  Counters counters;
  IcmpBudget budget;
  std::mt19937 random(1);
  printf("%9s %18s %18s %18s %18s\n", "flows", "lookup, one", "lookup, any", "packet, one",
         "packet, any");
  uint64_t sink = 0;
  for (const uint32_t flows : {1u, 1000u, kMost}) {
    FlowStore store;
    std::string error;
    std::string note;
    if (!store.Open("", 1 << 17, &error, &note)) return 1;
    const uint64_t before = ResidentBytes();
    auto conntrack = std::make_unique<Conntrack>(&store, &counters, 42, store.capacity() / 2);
    uint64_t now_ns = 1'000'000'000;
    const auto pass = [&](uint32_t index, uint8_t flags) {
      Packet packet(PortsOf(index), flags);
      PacketKey key;
      const Verdict verdict =
          FromTap(tables, kPort, &budget, conntrack.get(), now_ns, &packet.frame, &key);
      sink += static_cast<uint64_t>(verdict.action);
    };
    for (uint32_t i = 0; i < flows; i++) pass(i, kTcpSyn);
    const uint64_t after = ResidentBytes();
    if (conntrack->size() != flows) {
      fprintf(stderr, "flow_cost: %u flows, not %u\n", conntrack->size(), flows);
      return 1;
    }
    std::vector<uint32_t> any(kLookups);
    for (uint32_t& index : any) index = random() % flows;
    std::vector<Ends> ends;
    for (uint32_t i = 0; i < flows; i++) ends.push_back(EndsOfPorts(PortsOf(i)));
    const auto find = [&](uint32_t index) {
      sink += conntrack->FindOriginal(4097, kProtocolTcp, ends[index]);
    };
    const uint32_t one = flows / 2;
    const double lookup_one = Best(rounds, [&](uint32_t) { find(one); });
    const double lookup_any = Best(rounds, [&](uint32_t i) { find(any[i]); });
    const double packet_one = Best(rounds, [&](uint32_t) { pass(one, kTcpAck); });
    const double packet_any = Best(rounds, [&](uint32_t i) { pass(any[i], kTcpAck); });
    printf("%9u %15.1f ns %15.1f ns %15.1f ns %15.1f ns\n", flows, lookup_one, lookup_any,
           packet_one, packet_any);
    if (flows == kMost) {
      printf("memory: %.1f bytes a flow (resident, %u flows of at most %u)\n",
             static_cast<double>(after - before) / flows, flows, store.capacity());
    }
  }
  return sink == 0 ? 1 : 0;  // so that it is computed
}

}  // namespace
}  // namespace weft

int main(int argc, char** argv) { return weft::Run(argc > 1 ? atoi(argv[1]) : 5); }
