// libFuzzer over the whole pipeline: frames from an endpoint, datagrams from other hosts, table
// batches.
//
// Input: u8 what (bits 0-1: 0 from port 1, 1 from port 2, 2 datagram, 3 batch) · for a frame: u8
// gso and flags · u16 gso_size · u16 checksum_start · u8 checksum_offset · u8 (time, host) · the
// bytes.
//
// Besides what the sanitizers find: what comes out is checked here. The same dataplane serves all
// inputs (its tables are not changed by frames), a fresh one each batch.

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "../dataplane.h"
#include "../wire/vxlan.h"
#include "table_batch.h"

namespace weft::fuzz {

namespace {

#define REQUIRE(condition)                                                    \
  do {                                                                        \
    if (!(condition)) {                                                       \
      fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
      abort();                                                                \
    }                                                                         \
  } while (false)

VtepAddress Vtep(uint8_t a, uint8_t b, uint8_t c, uint8_t d) {
  const uint8_t bytes[4] = {a, b, c, d};
  VtepAddress address;
  memcpy(&address, bytes, 4);
  return address;
}

std::unique_ptr<Dataplane> NewDataplane() {
  auto dataplane = std::make_unique<Dataplane>(
      Dataplane::Options{.address = Vtep(172, 31, 1, 11), .workers = 0, .memory = true});
  std::string error;
  REQUIRE(dataplane->Start([](PortId) {}, {}, &error) == 0);
  return dataplane;
}

Dataplane& Shared() {
  static const std::unique_ptr<Dataplane> dataplane = [] {
    auto made = NewDataplane();
    const std::vector<uint8_t> batch = TableBatch();
    REQUIRE(made->Apply(batch.data(), batch.size()));
    REQUIRE(made->OpenMemory(1) && made->OpenMemory(2));
    return made;
  }();
  return *dataplane;
}

void CheckOutputs(const std::vector<MemoryOutput>& outputs, const Verdict& verdict,
                  size_t input_size) {
  REQUIRE(verdict.IsFinal());
  if (verdict.action == Verdict::Action::kDrop) {
    REQUIRE(outputs.empty());
    REQUIRE(verdict.counter != Counter::kCount);
  }
  REQUIRE(verdict.trail.count <= Trail::kMost);
  // A flood goes to one port and one or two hosts here, each in at most kMaxSegments pieces.
  REQUIRE(outputs.size() <= 3 * kMaxSegments);
  for (const MemoryOutput& output : outputs) {
    if (output.port != 0) {
      REQUIRE(output.bytes.size() <= input_size + 48);  // an ICMP error adds headers
      continue;
    }
    REQUIRE(output.bytes.size() >= sizeof(VxlanHeader));
    REQUIRE(output.bytes.size() <= input_size + kMaxHead);
    REQUIRE(output.bytes[0] == kVxlanFlagVni);
  }
}

void FromPort(PortId port, const uint8_t* data, size_t size) {
  constexpr size_t kHeader = 7;
  if (size < kHeader || size - kHeader > kMaxFrame) return;
  Offload offload;
  offload.gso = static_cast<Gso>(data[0] & 3);
  offload.ecn = (data[0] & 4) != 0;
  offload.needs_checksum = (data[0] & 8) != 0;
  memcpy(&offload.gso_size, data + 1, 2);
  memcpy(&offload.checksum_start, data + 3, 2);
  offload.checksum_offset = data[5];
  static uint64_t now_ns = 0;
  now_ns += data[6] * uint64_t{1'000'000};
  const std::vector<uint8_t> frame(data + kHeader, data + size);
  Verdict verdict;
  REQUIRE(Shared().InjectFromPort(port, frame, offload, now_ns, &verdict));
  CheckOutputs(Shared().TakeOutputs(), verdict, frame.size());
}

void FromHost(const uint8_t* data, size_t size) {
  if (size < 1 || size - 1 > kMaxFrame) return;
  static const VtepAddress kHosts[] = {Vtep(192, 168, 1, 12), Vtep(172, 31, 1, 13),
                                       Vtep(203, 0, 113, 9)};
  const std::vector<uint8_t> datagram(data + 1, data + size);
  Verdict verdict;
  REQUIRE(Shared().InjectFromUnderlay(kHosts[data[0] % 3], datagram, 0, &verdict));
  const auto outputs = Shared().TakeOutputs();
  CheckOutputs(outputs, verdict, datagram.size());
  for (const MemoryOutput& output : outputs) REQUIRE(output.port != 0);  // split horizon
}

void Batch(const uint8_t* data, size_t size) {
  // Twice: a batch that was taken is taken again, and replaces every row.
  auto dataplane = NewDataplane();
  const bool taken = dataplane->Apply(data, size);
  REQUIRE(dataplane->Apply(data, size) == taken);
  dataplane->Collect();
}

}  // namespace

}  // namespace weft::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  switch (data[0] & 3) {
    case 0:
      weft::fuzz::FromPort(1, data + 1, size - 1);
      break;
    case 1:
      weft::fuzz::FromPort(2, data + 1, size - 1);
      break;
    case 2:
      weft::fuzz::FromHost(data + 1, size - 1);
      break;
    case 3:
      weft::fuzz::Batch(data + 1, size - 1);
      break;
  }
  return 0;
}
