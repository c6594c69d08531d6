#include "../wire/checksum.h"

#include "../wire/sum_bytes.h"

namespace weft {

namespace {

uint16_t Fold(uint64_t sum) {
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(sum);
}

void StoreInMemoryOrder(Be16* field, uint16_t value) { memcpy(field->bytes, &value, 2); }

}  // namespace

void ChecksumSum::Add(const uint8_t* data, uint32_t length) { AddPart(SumOfBytes(data, length)); }

void ChecksumSum::AddNumber(uint16_t value) {
  const uint8_t bytes[2] = {static_cast<uint8_t>(value >> 8), static_cast<uint8_t>(value)};
  uint16_t in_memory_order;
  memcpy(&in_memory_order, bytes, 2);
  AddPart(in_memory_order);
}

bool ChecksumSum::IsAllOnes() const { return Fold(sum_) == 0xffff; }

void ChecksumSum::StoreSum(Be16* field) const { StoreInMemoryOrder(field, Fold(sum_)); }

void ChecksumSum::StoreChecksum(Be16* field) const {
  StoreInMemoryOrder(field, static_cast<uint16_t>(~Fold(sum_)));
}

void ChecksumSum::StoreUdpChecksum(Be16* field) const {
  const auto checksum = static_cast<uint16_t>(~Fold(sum_));
  StoreInMemoryOrder(field, checksum == 0 ? 0xffff : checksum);
}

void AddPseudoHeader(ChecksumSum* sum, const Ipv4Header& ip, uint16_t l4_length) {
  sum->Add(ip.source, 8);  // source and destination stand side by side
  sum->AddNumber(ip.protocol);
  sum->AddNumber(l4_length);
}

void AddPseudoHeader(ChecksumSum* sum, const Ipv6Header& ip, uint8_t protocol, uint16_t l4_length) {
  sum->Add(ip.source, 32);
  sum->AddNumber(l4_length);
  sum->AddNumber(protocol);
}

void StoreIpv4Checksum(Ipv4Header* ip, uint32_t header_length) {
  ip->checksum.Set(0);
  ChecksumSum sum;
  sum.Add(reinterpret_cast<const uint8_t*>(ip), header_length);
  sum.StoreChecksum(&ip->checksum);
}

void UpdateChecksum(Be16* field, uint16_t before, uint16_t after) {
  // HC' = ~(~HC + ~m + m')
  uint32_t sum = static_cast<uint16_t>(~field->Get()) + static_cast<uint16_t>(~before) + after;
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  field->Set(~sum);
}

void ChecksumDelta::Update(Be16* field) const {
  field->Set(static_cast<uint16_t>(~Fold(uint64_t{static_cast<uint16_t>(~field->Get())} + sum_)));
}

void ChecksumDelta::UpdateSum(Be16* field) const {
  field->Set(Fold(uint64_t{field->Get()} + sum_));
}

bool FinishChecksum(Frame* frame) {
  Offload& offload = frame->offload;
  if (!offload.needs_checksum) return true;
  const uint32_t start = offload.checksum_start;
  auto* field = frame->Get<Be16>(start + offload.checksum_offset);
  if (field == nullptr || start > frame->length()) return false;
  // The field holds the pseudo-header's sum and so takes part in the sum as it stands.
  ChecksumSum sum;
  sum.Add(frame->data() + start, frame->length() - start);
  // Of the protocols that checksum at this place only UDP (offset 6) gives zero a meaning; for TCP
  // 0xffff and 0 are equal.
  sum.StoreUdpChecksum(field);
  offload.needs_checksum = false;
  return true;
}

}  // namespace weft
