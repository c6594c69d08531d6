#include "../tables/tables.h"

#include <cstring>

namespace weft {

namespace {

// Reads little-endian numbers and addresses; after a read past the end everything reads as zero and
// ok() is false.
class Reader {
 public:
  Reader(const uint8_t* data, size_t length) : data_(data), left_(length) {}

  uint8_t U8() { return Number<uint8_t>(); }
  uint16_t U16() { return Number<uint16_t>(); }
  uint32_t U32() { return Number<uint32_t>(); }
  MacAddress Mac() {
    MacAddress mac{};
    Copy(mac.bytes, 6);
    return mac;
  }
  IpAddress Ip() {
    IpAddress ip{};
    Copy(ip.bytes, 16);
    return ip;
  }
  const uint8_t* Skip(size_t bytes) {
    const uint8_t* at = data_;
    if (bytes > left_) {
      ok_ = false;
      return nullptr;
    }
    data_ += bytes;
    left_ -= bytes;
    return at;
  }
  bool ok() const { return ok_; }
  size_t left() const { return left_; }

 private:
  template <typename T>
  T Number() {
    T value = 0;
    Copy(&value, sizeof(T));
    return value;
  }
  void Copy(void* to, size_t bytes) {
    const uint8_t* at = Skip(bytes);
    if (at != nullptr) memcpy(to, at, bytes);
  }

  const uint8_t* data_;
  size_t left_;
  bool ok_ = true;
};

constexpr uint8_t kPut = 1;
constexpr uint8_t kRemove = 2;

void Read(Reader* in, VniKey* key) { key->vni = in->U32(); }
void Read(Reader* in, NetworkRow* row) {
  row->record = in->U32();
  row->router = in->U32();
  row->mtu = in->U16();
  row->gateway_mac = in->Mac();
  row->gateway4 = in->Ip();
  row->gateway6 = in->Ip();
  for (uint32_t n = in->U32(); n > 0 && in->ok(); n--) row->ports.push_back(in->U32());
  for (uint32_t n = in->U32(); n > 0 && in->ok(); n--) row->vteps.push_back(in->U32());
  for (uint32_t n = in->U32(); n > 0 && in->ok(); n--) row->learning.push_back(in->U32());
}

void Read(Reader* in, PortKey* key) { key->port = in->U32(); }
void Read(Reader* in, PortRow* row) {
  row->record = in->U32();
  row->vni = in->U32();
}

void Read(Reader* in, FdbKey* key) {
  key->vni = in->U32();
  key->mac = in->Mac();
}
void Read(Reader* in, FdbRow* row) {
  row->record = in->U32();
  row->port = in->U32();
  row->vtep = in->U32();
}

void Read(Reader* in, NeighbourKey* key) {
  key->vni = in->U32();
  key->ip = in->Ip();
}
void Read(Reader* in, NeighbourRow* row) {
  row->record = in->U32();
  row->mac = in->Mac();
  row->gateway = in->U8() != 0;
}

void Read(Reader* in, RouterKey* key) { key->router = in->U32(); }
void Read(Reader* in, RouterRow* row) {
  row->record = in->U32();
  for (uint32_t n = in->U32(); n > 0 && in->ok(); n--) {
    RouterRow::Subnet subnet{};
    subnet.prefix = in->Ip();
    subnet.bits = in->U8();
    subnet.vni = in->U32();
    if (subnet.bits > 128) subnet.bits = 128;
    row->subnets.push_back(subnet);
  }
  for (uint32_t n = in->U32(); n > 0 && in->ok(); n--) row->addresses.push_back(in->Ip());
}

void Read(Reader* in, VtepKey* key) { key->vtep = in->U32(); }
void Read(Reader* in, VtepRow* row) { row->record = in->U32(); }

template <typename Key, typename Row>
bool ApplyEntry(RcuMap<Key, Row>* map, uint8_t operation, Reader* in, bool commit) {
  Key key{};
  Row row{};
  Read(in, &key);
  if (operation == kPut) Read(in, &row);
  if (!in->ok() || in->left() != 0) return false;
  if (!commit) return true;
  if (operation == kPut) {
    map->Put(key, std::move(row));
  } else {
    map->Remove(key);
  }
  return true;
}

bool ApplyAll(Tables* tables, const uint8_t* batch, size_t length, bool commit) {
  Reader in(batch, length);
  while (in.left() > 0) {
    const uint8_t operation = in.U8();
    const uint8_t table = in.U8();
    const uint32_t size = in.U32();
    const uint8_t* body = in.Skip(size);
    if (!in.ok() || (operation != kPut && operation != kRemove)) return false;
    Reader entry(body, size);
    bool good = false;
    switch (static_cast<TableId>(table)) {
      case TableId::kNone:
        break;
      case TableId::kNetwork:
        good = ApplyEntry(&tables->networks, operation, &entry, commit);
        break;
      case TableId::kPort:
        good = ApplyEntry(&tables->ports, operation, &entry, commit);
        break;
      case TableId::kFdb:
        good = ApplyEntry(&tables->fdb, operation, &entry, commit);
        break;
      case TableId::kNeighbour:
        good = ApplyEntry(&tables->neighbours, operation, &entry, commit);
        break;
      case TableId::kRouter:
        good = ApplyEntry(&tables->routers, operation, &entry, commit);
        break;
      case TableId::kVtep:
        good = ApplyEntry(&tables->vteps, operation, &entry, commit);
        break;
    }
    if (!good) return false;
  }
  return true;
}

}  // namespace

bool Tables::Apply(const uint8_t* batch, size_t length) {
  return ApplyAll(this, batch, length, false) && ApplyAll(this, batch, length, true);
}

}  // namespace weft
