// JavaScript values ↔ what the dataplane works with.

#ifndef WEFT_BINDING_CONVERT_H_
#define WEFT_BINDING_CONVERT_H_

#include <napi.h>

#include <vector>

#include "../io/memory_port.h"
#include "../nat/flow.h"
#include "../pipeline/verdict.h"
#include "../wire/address.h"
#include "../wire/offload.h"

namespace weft {

// Bytes of a Uint8Array, copied.
std::vector<uint8_t> ToBytes(const Napi::Value& value);

// {gso: 'none'|'tcp4'|'tcp6'|'udp', ecn, needsChecksum, gsoSize, checksumStart, checksumOffset}
Offload ToOffload(const Napi::Object& value);
Napi::Object FromOffload(Napi::Env env, const Offload& offload);

Napi::Value FromMac(Napi::Env env, const MacAddress& mac);  // 6 bytes
Napi::Value FromIp(Napi::Env env, const IpAddress& ip);     // 4 or 16 bytes

// {action, counter, routed, vni, port, vtep, trail: [{table, record}]}
Napi::Object FromVerdict(Napi::Env env, const Verdict& verdict);
Napi::Object FromService(Napi::Env env, const ServiceKey& key, const ServiceRow& row);
Napi::Object FromFlow(Napi::Env env, const Flow& flow);
Napi::Array FromOutputs(Napi::Env env, const std::vector<MemoryOutput>& outputs);

// [{name, text, kind: 'count'|'drop'}] in the order of counters.def.
Napi::Array CounterList(Napi::Env env);

// For tests: each way to sum bytes for a checksum that this CPU has, {name, sum(bytes) modulo
// 0xffff}.
Napi::Array ChecksumSums(Napi::Env env);
// For tests: what wakefulness.h decides after turns.
Napi::Value AwakeForNs(const Napi::CallbackInfo& info);

}  // namespace weft

#endif  // WEFT_BINDING_CONVERT_H_
