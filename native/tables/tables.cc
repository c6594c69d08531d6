#include "../tables/tables.h"

#include <cstring>
#include <type_traits>

#include "../tables/service_schedule.h"

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
  uint64_t U64() { return Number<uint64_t>(); }
  void Fail() { ok_ = false; }
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
  row->services = in->U8() != 0;
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

void Read(Reader* in, ServiceKey* key) {
  key->vni = in->U32();
  key->vip = in->Ip();
}
void Read(Reader* in, ServiceRow* row) {
  row->record = in->U32();
  row->service = in->U64();
  row->mac = in->Mac();
  row->scheduler = static_cast<Scheduler>(in->U8());
  if (row->scheduler >= Scheduler::kCount || row->service == 0) in->Fail();
  for (uint32_t n = in->U32(); n > 0 && in->ok(); n--) {
    ServiceRow::MappedPort mapped{};
    mapped.protocol = in->U8();
    mapped.port = in->U16();
    mapped.target = in->U16();
    row->ports.push_back(mapped);
  }
  for (uint32_t n = in->U32(); n > 0 && in->ok(); n--) {
    ServiceRow::Backend backend;
    backend.record = in->U32();
    backend.ip = in->Ip();
    backend.vni = in->U32();
    backend.weight = in->U16();
    backend.state = static_cast<BackendState>(in->U8());
    if (backend.state >= BackendState::kCount || backend.weight > ServiceRow::kMostWeight) {
      in->Fail();
    }
    row->backends.push_back(backend);
    if (row->backends.size() > ServiceRow::kMostBackends) in->Fail();
  }
}

template <typename Key, typename Row>
bool ApplyEntry([[maybe_unused]] Tables* tables, RcuMap<Key, Row>* map, uint8_t operation,
                Reader* in, bool commit) {
  Key key{};
  Row row{};
  Read(in, &key);
  if (operation == kPut) Read(in, &row);
  if (!in->ok() || in->left() != 0) return false;
  if (!commit) return true;
  constexpr bool kService = std::is_same_v<Key, ServiceKey>;
  if (operation == kPut) {
    if constexpr (kService) {
      PrepareSchedule(&row);
      tables->tallies.Adopt(key, &row);
    }
    map->Put(key, std::move(row));
    if constexpr (kService) tables->tallies.Settle();
  } else {
    map->Remove(key);
    if constexpr (kService) tables->tallies.Release(key);
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
        good = ApplyEntry(tables, &tables->networks, operation, &entry, commit);
        break;
      case TableId::kPort:
        good = ApplyEntry(tables, &tables->ports, operation, &entry, commit);
        break;
      case TableId::kFdb:
        good = ApplyEntry(tables, &tables->fdb, operation, &entry, commit);
        break;
      case TableId::kNeighbour:
        good = ApplyEntry(tables, &tables->neighbours, operation, &entry, commit);
        break;
      case TableId::kRouter:
        good = ApplyEntry(tables, &tables->routers, operation, &entry, commit);
        break;
      case TableId::kVtep:
        good = ApplyEntry(tables, &tables->vteps, operation, &entry, commit);
        break;
      case TableId::kService:
        good = ApplyEntry(tables, &tables->services, operation, &entry, commit);
        break;
      case TableId::kFlow:
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
