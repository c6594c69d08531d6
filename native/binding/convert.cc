#include "../binding/convert.h"

#include <cstring>
#include <string>

#include "../wakefulness.h"
#include "../wire/sum_bytes.h"

namespace weft {

namespace {

constexpr const char* kGsoNames[] = {"none", "tcp4", "tcp6", "udp"};
constexpr const char* kActionNames[] = {"continue", "drop", "reply", "toPort", "toVtep", "flood"};
constexpr const char* kTableNames[] = {"none",   "network", "port",    "fdb", "neighbour",
                                       "router", "vtep",    "service", "flow"};
constexpr const char* kSchedulerNames[] = {"rr", "lc", "sh", "maglev"};
constexpr const char* kBackendStateNames[] = {"healthy", "draining", "dead", "lost"};
constexpr const char* kFlowStateNames[] = {"free",       "halfOpen", "established",
                                           "halfClosed", "closing",  "closed",
                                           "doomed",     "udpNew",   "udp"};
static_assert(std::size(kSchedulerNames) == static_cast<size_t>(Scheduler::kCount));
static_assert(std::size(kBackendStateNames) == static_cast<size_t>(BackendState::kCount));
static_assert(std::size(kFlowStateNames) == kFlowStates);

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

Napi::Object FromService(Napi::Env env, const ServiceKey& key, const ServiceRow& row) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("vni", key.vni);
  object.Set("vip", FromIp(env, key.vip));
  object.Set("record", row.record);
  object.Set("service", static_cast<double>(row.service));
  object.Set("mac", FromMac(env, row.mac));
  object.Set("scheduler", kSchedulerNames[static_cast<int>(row.scheduler)]);
  object.Set("position", static_cast<double>(row.position->load(std::memory_order_relaxed)));
  Napi::Array ports = Napi::Array::New(env);
  for (const ServiceRow::MappedPort& mapped : row.ports) {
    Napi::Object port = Napi::Object::New(env);
    port.Set("protocol", mapped.protocol);
    port.Set("port", mapped.port);
    port.Set("target", mapped.target);
    ports.Set(ports.Length(), port);
  }
  object.Set("ports", ports);
  Napi::Array backends = Napi::Array::New(env);
  for (const ServiceRow::Backend& backend : row.backends) {
    Napi::Object out = Napi::Object::New(env);
    out.Set("record", backend.record);
    out.Set("ip", FromIp(env, backend.ip));
    out.Set("vni", backend.vni);
    out.Set("weight", backend.weight);
    out.Set("state", kBackendStateNames[static_cast<int>(backend.state)]);
    const auto set = [&](const char* name, const auto& value) {
      out.Set(name, static_cast<double>(value.load(std::memory_order_relaxed)));
    };
    set("flows", backend.tally->flows);
    set("active", backend.tally->active);
    set("packetsOut", backend.tally->packets_out);
    set("bytesOut", backend.tally->bytes_out);
    set("packetsIn", backend.tally->packets_in);
    set("bytesIn", backend.tally->bytes_in);
    backends.Set(backends.Length(), out);
  }
  object.Set("backends", backends);
  return object;
}

Napi::Object FromFlow(Napi::Env env, const Flow& flow) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("vni", flow.vni);
  object.Set("service", static_cast<double>(flow.service));
  object.Set("protocol", flow.protocol);
  object.Set("state", kFlowStateNames[static_cast<int>(flow.state)]);
  object.Set("client", FromIp(env, flow.client));
  object.Set("clientPort", flow.client_port);
  object.Set("vip", FromIp(env, flow.vip));
  object.Set("vipPort", flow.vip_port);
  object.Set("source", FromIp(env, flow.Translated().source));
  object.Set("sourcePort", flow.seen_port);
  object.Set("backend", FromIp(env, flow.backend));
  object.Set("backendPort", flow.backend_port);
  object.Set("createdSeconds", flow.created_s);
  object.Set("usedNs", Napi::BigInt::New(env, flow.used_ns));
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
    object.Set("train", output.train);
    object.Set("tos", output.tos);
    object.Set("offload", FromOffload(env, output.offload));
    object.Set("bytes", FromBytes(env, output.bytes.data(), output.bytes.size()));
    array.Set(static_cast<uint32_t>(i), object);
  }
  return array;
}

Napi::Array ChecksumSums(Napi::Env env) {
  const SumImplementations& available = AvailableSums();
  Napi::Array array = Napi::Array::New(env);
  for (int i = 0; i < available.count; i++) {
    const SumImplementation& one = available.list[i];
    Napi::Object object = Napi::Object::New(env);
    object.Set("name", one.name);
    object.Set("sum", Napi::Function::New(env, [sum = one.sum](const Napi::CallbackInfo& info) {
                 const auto bytes = info[0].As<Napi::Uint8Array>();
                 const uint64_t whole =
                     sum(bytes.Data(), static_cast<uint32_t>(bytes.ByteLength()));
                 return Napi::Value::From(info.Env(), static_cast<double>(whole % 0xffff));
               }));
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

Napi::Value AwakeForNs(const Napi::CallbackInfo& info) {
  const auto number = [](const Napi::Value& value) {
    return static_cast<uint64_t>(value.As<Napi::Number>().Int64Value());
  };
  Wakefulness wakefulness(info[0].ToBoolean());
  const auto turns = info[1].As<Napi::Array>();
  for (uint32_t i = 0; i < turns.Length(); i++) {
    const auto turn = turns.Get(i).As<Napi::Object>();
    wakefulness.Came(number(turn.Get("waitedNs")), number(turn.Get("bytes")),
                     number(turn.Get("atNs")));
  }
  return Napi::Number::New(info.Env(),
                           static_cast<double>(wakefulness.RemainingNs(number(info[2]))));
}

}  // namespace weft
