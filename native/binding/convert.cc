#include "../binding/convert.h"

#include <cstring>
#include <string>

namespace weft {

namespace {

constexpr const char* kGsoNames[] = {"none", "tcp4", "tcp6", "udp"};
constexpr const char* kActionNames[] = {"continue", "drop", "reply", "toPort", "toVtep", "flood"};
constexpr const char* kTableNames[] = {"none",      "network", "port", "fdb",
                                       "neighbour", "router",  "vtep"};

Napi::Value FromBytes(Napi::Env env, const uint8_t* bytes, size_t length) {
  return Napi::Buffer<uint8_t>::Copy(env, bytes, length);
}

uint32_t NumberOf(const Napi::Object& object, const char* key) {
  const Napi::Value value = object.Get(key);
  return value.IsNumber() ? value.As<Napi::Number>().Uint32Value() : 0;
}

}  // namespace

std::vector<uint8_t> ToBytes(const Napi::Value& value) {
  const auto array = value.As<Napi::Uint8Array>();
  return {array.Data(), array.Data() + array.ByteLength()};
}

Offload ToOffload(const Napi::Object& value) {
  Offload offload;
  const std::string gso =
      value.Get("gso").IsString() ? value.Get("gso").As<Napi::String>().Utf8Value() : "none";
  for (int i = 0; i < 4; i++) {
    if (gso == kGsoNames[i]) offload.gso = static_cast<Gso>(i);
  }
  offload.ecn = value.Get("ecn").ToBoolean();
  offload.needs_checksum = value.Get("needsChecksum").ToBoolean();
  offload.gso_size = static_cast<uint16_t>(NumberOf(value, "gsoSize"));
  offload.checksum_start = static_cast<uint16_t>(NumberOf(value, "checksumStart"));
  offload.checksum_offset = static_cast<uint16_t>(NumberOf(value, "checksumOffset"));
  return offload;
}

Napi::Object FromOffload(Napi::Env env, const Offload& offload) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("gso", kGsoNames[static_cast<int>(offload.gso)]);
  object.Set("ecn", offload.ecn);
  object.Set("needsChecksum", offload.needs_checksum);
  object.Set("gsoSize", offload.gso_size);
  object.Set("checksumStart", offload.checksum_start);
  object.Set("checksumOffset", offload.checksum_offset);
  return object;
}

Napi::Value FromMac(Napi::Env env, const MacAddress& mac) { return FromBytes(env, mac.bytes, 6); }

Napi::Value FromIp(Napi::Env env, const IpAddress& ip) {
  return ip.IsV4() ? FromBytes(env, ip.V4Bytes(), 4) : FromBytes(env, ip.bytes, 16);
}

Napi::Object FromVerdict(Napi::Env env, const Verdict& verdict) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("action", kActionNames[static_cast<int>(verdict.action)]);
  object.Set("counter",
             verdict.counter == Counter::kCount
                 ? env.Null()
                 : Napi::String::New(env, kCounterInfo[static_cast<int>(verdict.counter)].name));
  object.Set("routed", verdict.routed);
  object.Set("vni", verdict.vni);
  object.Set("port", verdict.port);
  object.Set("vtep", verdict.vtep);
  Napi::Array trail = Napi::Array::New(env);
  for (int i = 0; i < verdict.trail.count; i++) {
    Napi::Object row = Napi::Object::New(env);
    row.Set("table", kTableNames[static_cast<int>(verdict.trail.rows[i].table)]);
    row.Set("record", verdict.trail.rows[i].record);
    trail.Set(static_cast<uint32_t>(i), row);
  }
  object.Set("trail", trail);
  return object;
}

Napi::Array FromOutputs(Napi::Env env, const std::vector<MemoryOutput>& outputs) {
  Napi::Array array = Napi::Array::New(env, outputs.size());
  for (size_t i = 0; i < outputs.size(); i++) {
    const MemoryOutput& output = outputs[i];
    Napi::Object object = Napi::Object::New(env);
    object.Set("port", output.port);
    object.Set("vtep", output.vtep);
    object.Set("sourcePortIndex", output.source_port_index);
    object.Set("offload", FromOffload(env, output.offload));
    object.Set("bytes", FromBytes(env, output.bytes.data(), output.bytes.size()));
    array.Set(static_cast<uint32_t>(i), object);
  }
  return array;
}

Napi::Array CounterList(Napi::Env env) {
  Napi::Array array = Napi::Array::New(env, kCounterCount);
  for (size_t i = 0; i < kCounterCount; i++) {
    Napi::Object object = Napi::Object::New(env);
    object.Set("name", kCounterInfo[i].name);
    object.Set("text", kCounterInfo[i].text);
    object.Set("kind", kCounterInfo[i].is_drop ? "drop" : "count");
    array.Set(static_cast<uint32_t>(i), object);
  }
  return array;
}

}  // namespace weft
