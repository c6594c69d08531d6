// libFuzzer over the whole pipeline: frames from an endpoint, datagrams from other hosts, table
// batches.
//
// Input: u8 what (bits 0-1: 0 from port 1, 1 from port 2, 2 datagram, 3 batch; bit 2: a
// conversation instead) · for a frame: u8 gso and flags · u16 gso_size · u16 checksum_start · u8
// checksum_offset · u8 (time, host) · the bytes; for a datagram: u8 host, and with bit 7 of that
// u16 segment · u8 tos, as a socket with UDP_GRO gives several at once. A conversation is several
// of these on a dataplane of their own: u8 what (bits 0-1 as above, 3: the time and rows that
// change) · u16 length · that many bytes.
//
// Besides what the sanitizers find: what comes out is checked here. One dataplane serves all single
// frames (its tables are not changed by them; flows stay), a fresh one each batch and conversation.

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "../dataplane.h"
#include "../pipeline/classify.h"
#include "../wire/checksum.h"
#include "../wire/ip.h"
#include "../wire/transport.h"
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
  auto dataplane = std::make_unique<Dataplane>(Dataplane::Options{
      .address = Vtep(172, 31, 1, 11), .workers = 0, .memory = true, .flows = 256});
  std::string error;
  REQUIRE(dataplane->Start([](PortId) {}, {}, &error) == 0);
  return dataplane;
}

std::unique_ptr<Dataplane> NewProgrammed() {
  auto made = NewDataplane();
  static const std::vector<uint8_t> batch = TableBatch();
  REQUIRE(made->Apply(batch.data(), batch.size()));
  REQUIRE(made->OpenMemory(1) && made->OpenMemory(2));
  return made;
}

// A dataplane and its clock.
struct Stage {
  std::unique_ptr<Dataplane> dataplane = NewProgrammed();
  uint64_t now_ns = 0;
};

Stage& Shared() {
  static Stage stage;
  return stage;
}

// Whether the checksums of an IP packet are right; those that it does not have are.
bool IsRight(const std::vector<uint8_t>& bytes) {
  std::vector<uint8_t> buffer(kHeadroom + bytes.size());
  if (!bytes.empty()) memcpy(buffer.data() + kHeadroom, bytes.data(), bytes.size());
  Frame frame(buffer.data(), static_cast<uint32_t>(buffer.size()),
              static_cast<uint32_t>(bytes.size()));
  PacketKey key;
  if (!Classify(frame, &key) || !key.IsIp()) return true;
  Be16 sum;
  const bool v4 = key.kind == PacketKey::Kind::kIpv4;
  if (v4) {
    ChecksumSum header;
    const auto* ip = frame.Get<Ipv4Header>(key.l3_offset);
    header.Add(frame.data() + key.l3_offset, ip->HeaderLength());
    header.StoreSum(&sum);
    if (sum.Get() != 0xffff) return false;
  }
  if (key.fragment || key.l4_header_length == 0) return true;
  const uint32_t length = key.l3_offset + key.l3_length - key.l4_offset;
  const bool udp = key.protocol == kProtocolUdp;
  if (udp && frame.Get<UdpHeader>(key.l4_offset)->checksum.Get() == 0) return true;
  ChecksumSum transport;
  if (v4 && key.protocol != kProtocolIcmp) {
    AddPseudoHeader(&transport, *frame.Get<Ipv4Header>(key.l3_offset),
                    static_cast<uint16_t>(length));
  } else if (!v4) {
    AddPseudoHeader(&transport, *frame.Get<Ipv6Header>(key.l3_offset), key.protocol,
                    static_cast<uint16_t>(length));
  }
  transport.Add(frame.data() + key.l4_offset, length);
  transport.StoreSum(&sum);
  return sum.Get() == 0xffff;
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

// What was right is right after it has passed, and what was wrong is wrong; what is answered is
// ours.
void CheckChecksums(const std::vector<uint8_t>& input, const std::vector<MemoryOutput>& outputs,
                    const Verdict& verdict) {
  const bool ours =
      verdict.action == Verdict::Action::kReply && verdict.counter != Counter::vip_echo_answered;
  const bool right = ours || IsRight(input);
  for (const MemoryOutput& output : outputs) {
    if (output.offload.needs_checksum) continue;
    const auto skip = static_cast<std::ptrdiff_t>(output.port == 0 ? sizeof(VxlanHeader) : 0);
    REQUIRE(IsRight({output.bytes.begin() + skip, output.bytes.end()}) == right);
  }
}

void FromPort(Stage* stage, PortId port, const uint8_t* data, size_t size) {
  constexpr size_t kHeader = 7;
  if (size < kHeader || size - kHeader > kMaxFrame) return;
  Offload offload;
  offload.gso = static_cast<Gso>(data[0] & 3);
  offload.ecn = (data[0] & 4) != 0;
  offload.needs_checksum = (data[0] & 8) != 0;
  memcpy(&offload.gso_size, data + 1, 2);
  memcpy(&offload.checksum_start, data + 3, 2);
  offload.checksum_offset = data[5];
  stage->now_ns += data[6] * uint64_t{1'000'000};
  const std::vector<uint8_t> frame(data + kHeader, data + size);
  std::vector<Verdict> verdicts;
  REQUIRE(stage->dataplane->InjectFromPort(port, {{frame, offload}}, stage->now_ns, &verdicts));
  REQUIRE(verdicts.size() == 1);
  const Verdict& verdict = verdicts[0];
  const auto outputs = stage->dataplane->TakeOutputs();
  CheckOutputs(outputs, verdict, frame.size());
  if (!offload.needs_checksum && !offload.IsSuperframe()) CheckChecksums(frame, outputs, verdict);
}

void FromHost(Stage* stage, const uint8_t* data, size_t size) {
  if (size < 1) return;
  const bool told = (data[0] & 0x80) != 0;
  const size_t header = told ? 4 : 1;
  if (size < header || size - header > kMaxFrame) return;
  static const VtepAddress kHosts[] = {Vtep(192, 168, 1, 12), Vtep(172, 31, 1, 13),
                                       Vtep(203, 0, 113, 9)};
  Dataplane::FromHost arrival{.bytes = {data + header, data + size}, .source = kHosts[data[0] % 3]};
  if (told) {
    uint16_t segment;
    memcpy(&segment, data + 1, 2);
    arrival.segment = segment;
    arrival.tos = data[3];
  }
  const auto joined = [&] {
    return stage->dataplane->CounterSum(static_cast<size_t>(Counter::superframes_joined));
  };
  const uint64_t before = joined();
  std::vector<Verdict> verdicts;
  REQUIRE(stage->dataplane->InjectFromUnderlay({arrival}, stage->now_ns, &verdicts));
  const auto outputs = stage->dataplane->TakeOutputs();
  const std::vector<uint8_t>& bytes = arrival.bytes;
  if (verdicts.size() == 1) CheckOutputs(outputs, verdicts[0], bytes.size());
  if (!told && !outputs.empty()) {
    CheckChecksums({bytes.begin() + sizeof(VxlanHeader), bytes.end()}, outputs, verdicts[0]);
  }
  // Each datagram is judged, alone or in a superframe of two at least.
  const uint64_t superframes = joined() - before;
  const uint32_t size_of_one = arrival.segment == 0 ? 1 : arrival.segment;
  const size_t most = arrival.segment == 0
                          ? 1
                          : std::max<size_t>((bytes.size() + size_of_one - 1) / size_of_one, 1);
  REQUIRE(verdicts.size() + superframes <= most);
  size_t length = 0;  // a flood goes to one port here
  for (const MemoryOutput& output : outputs) {
    REQUIRE(output.port != 0);  // split horizon
    REQUIRE(!output.offload.IsSuperframe() || output.offload.needs_checksum);
    length += output.bytes.size();
  }
  REQUIRE(length <= bytes.size());
}

// Seconds that pass, a sweep, and a batch.
void Change(Stage* stage, const uint8_t* data, size_t size) {
  if (size < 1) return;
  stage->now_ns += data[0] * uint64_t{1'000'000'000};
  stage->dataplane->Tick(stage->now_ns, 256);
  for (const MemoryOutput& output : stage->dataplane->TakeOutputs()) REQUIRE(IsRight(output.bytes));
  stage->dataplane->Apply(data + 1, size - 1);
  stage->dataplane->Collect();
}

void Converse(const uint8_t* data, size_t size) {
  Stage stage;
  while (size >= 3) {
    const uint8_t what = data[0] & 3;
    uint16_t length;
    memcpy(&length, data + 1, 2);
    data += 3;
    size -= 3;
    const size_t part = length < size ? length : size;
    if (what < 2) {
      FromPort(&stage, what + 1u, data, part);
    } else if (what == 2) {
      FromHost(&stage, data, part);
    } else {
      Change(&stage, data, part);
    }
    data += part;
    size -= part;
  }
  uint32_t place = 0;
  for (const Flow& flow : stage.dataplane->Flows(&place)) REQUIRE(flow.check == flow.Check());
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
  if ((data[0] & 4) != 0) {
    weft::fuzz::Converse(data + 1, size - 1);
    return 0;
  }
  switch (data[0] & 3) {
    case 0:
      weft::fuzz::FromPort(&weft::fuzz::Shared(), 1, data + 1, size - 1);
      break;
    case 1:
      weft::fuzz::FromPort(&weft::fuzz::Shared(), 2, data + 1, size - 1);
      break;
    case 2:
      weft::fuzz::FromHost(&weft::fuzz::Shared(), data + 1, size - 1);
      break;
    case 3:
      weft::fuzz::Batch(data + 1, size - 1);
      break;
  }
  return 0;
}
