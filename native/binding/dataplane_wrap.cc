#include "../binding/dataplane_wrap.h"

#include <cstring>
#include <string>

#include "../binding/convert.h"

namespace weft {

namespace {

uint32_t U32(const Napi::Value& value) { return value.As<Napi::Number>().Uint32Value(); }

Napi::Value Fail(Napi::Env env, const std::string& message, int code = 0) {
  Napi::Error error = Napi::Error::New(env, message);
  if (code != 0) error.Set("code", Napi::String::New(env, strerrorname_np(code)));
  error.ThrowAsJavaScriptException();
  return env.Undefined();
}

uint64_t SeedOf(const Napi::Value& value) {
  bool lossless;
  return value.As<Napi::BigInt>().Uint64Value(&lossless);
}

Napi::Array FromNumbers(Napi::Env env, const std::vector<uint32_t>& numbers) {
  Napi::Array array = Napi::Array::New(env, numbers.size());
  for (uint32_t i = 0; i < numbers.size(); i++) array.Set(i, numbers[i]);
  return array;
}

Napi::Value FromInjection(Napi::Env env, const std::vector<Verdict>& verdicts,
                          const std::vector<MemoryOutput>& outputs) {
  Napi::Array list = Napi::Array::New(env, verdicts.size());
  for (uint32_t i = 0; i < verdicts.size(); i++) list.Set(i, FromVerdict(env, verdicts[i]));
  Napi::Object result = Napi::Object::New(env);
  result.Set("verdicts", list);
  result.Set("outputs", FromOutputs(env, outputs));
  return result;
}

}  // namespace

Napi::Function DataplaneWrap::Define(Napi::Env env) {
  return DefineClass(
      env, "Dataplane",
      {
          InstanceMethod<&DataplaneWrap::Counted<&DataplaneWrap::Start>>("start"),
          InstanceMethod<&DataplaneWrap::Counted<&DataplaneWrap::Run>>("run"),
          InstanceMethod<&DataplaneWrap::Counted<&DataplaneWrap::Stop>>("stop"),
          InstanceMethod<&DataplaneWrap::Counted<&DataplaneWrap::UnderlayDescriptors>>(
              "underlayDescriptors"),
          InstanceMethod<&DataplaneWrap::Counted<&DataplaneWrap::OpenTap>>("openTap"),
          InstanceMethod<&DataplaneWrap::Counted<&DataplaneWrap::OpenMemory>>("openMemory"),
          InstanceMethod<&DataplaneWrap::Counted<&DataplaneWrap::ClosePort>>("closePort"),
          InstanceMethod<&DataplaneWrap::Counted<&DataplaneWrap::Apply>>("apply"),
          InstanceMethod<&DataplaneWrap::Counted<&DataplaneWrap::Collect>>("collect"),
          InstanceMethod<&DataplaneWrap::Counted<&DataplaneWrap::CounterValues>>("counterValues"),
          InstanceMethod<&DataplaneWrap::Counted<&DataplaneWrap::Traffic>>("traffic"),
          InstanceMethod<&DataplaneWrap::Counted<&DataplaneWrap::FdbRows>>("fdbRows"),
          InstanceMethod<&DataplaneWrap::Counted<&DataplaneWrap::NeighbourRows>>("neighbourRows"),
          InstanceMethod<&DataplaneWrap::Counted<&DataplaneWrap::NetworkRows>>("networkRows"),
          InstanceMethod<&DataplaneWrap::Counted<&DataplaneWrap::PortRows>>("portRows"),
          InstanceMethod<&DataplaneWrap::Counted<&DataplaneWrap::RouterRows>>("routerRows"),
          InstanceMethod<&DataplaneWrap::Counted<&DataplaneWrap::VtepRows>>("vtepRows"),
          InstanceMethod<&DataplaneWrap::Counted<&DataplaneWrap::ServiceRows>>("serviceRows"),
          InstanceMethod<&DataplaneWrap::Counted<&DataplaneWrap::Flows>>("flows"),
          InstanceMethod<&DataplaneWrap::Counted<&DataplaneWrap::FlowsNote>>("flowsNote"),
          InstanceMethod<&DataplaneWrap::Counted<&DataplaneWrap::Tick>>("tick"),
          InstanceMethod<&DataplaneWrap::Counted<&DataplaneWrap::InjectFromPort>>("injectFromPort"),
          InstanceMethod<&DataplaneWrap::Counted<&DataplaneWrap::InjectFromUnderlay>>(
              "injectFromUnderlay"),
      });
}

DataplaneWrap::DataplaneWrap(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  const auto options = info[0].As<Napi::Object>();
  std::vector<int> worker_cpus;
  const auto cpus = options.Get("workerCpus").As<Napi::Array>();
  for (uint32_t i = 0; i < cpus.Length(); i++) {
    worker_cpus.push_back(cpus.Get(i).As<Napi::Number>().Int32Value());
  }
  dataplane_ = std::make_unique<Dataplane>(Dataplane::Options{
      .address = U32(options.Get("address")),
      .vxlan_port = static_cast<uint16_t>(U32(options.Get("vxlanPort"))),
      .workers = static_cast<int>(U32(options.Get("workers"))),
      .worker_cpus = std::move(worker_cpus),
      .stay_awake = options.Get("stayAwake").ToBoolean(),
      .copy_dscp = options.Get("copyDscp").ToBoolean(),
      .memory = options.Get("memory").ToBoolean(),
      .flows_path = options.Get("flowsPath").As<Napi::String>().Utf8Value(),
      .flows = U32(options.Get("flows")),
      .seed = SeedOf(options.Get("seed")),
  });
}

DataplaneWrap::~DataplaneWrap() { Close(); }

void DataplaneWrap::Close() {
  dataplane_->Stop();
  if (started_) on_port_gone_.Release();
  started_ = false;
}

Napi::Value DataplaneWrap::Start(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (started_) return Fail(env, "the dataplane is started already");
  // Events are few (a port goes once); an unbounded queue cannot grow.
  on_port_gone_ =
      Napi::ThreadSafeFunction::New(env, info[0].As<Napi::Function>(), "weft port gone", 0, 1);
  on_port_gone_.Unref(env);
  std::vector<pid_t> keepers;
  const auto pids = info[1].As<Napi::Array>();
  for (uint32_t i = 0; i < pids.Length(); i++) {
    keepers.push_back(pids.Get(i).As<Napi::Number>().Int32Value());
  }
  std::string error;
  const int code = dataplane_->Start(
      [this](PortId id) {
        calls_.fetch_add(1, std::memory_order_relaxed);
        on_port_gone_.NonBlockingCall([id](Napi::Env env, Napi::Function callback) {
          callback.Call({Napi::Number::New(env, id)});
        });
      },
      keepers, &error);
  started_ = true;
  if (code != 0) {
    Close();
    return Fail(env, error, code);
  }
  return env.Undefined();
}

void DataplaneWrap::Run(const Napi::CallbackInfo&) { dataplane_->Run(); }

Napi::Value DataplaneWrap::UnderlayDescriptors(const Napi::CallbackInfo& info) {
  Napi::Array array = Napi::Array::New(info.Env());
  for (const int fd : dataplane_->UnderlayDescriptors()) array.Set(array.Length(), fd);
  return array;
}

void DataplaneWrap::Stop(const Napi::CallbackInfo&) { Close(); }

Napi::Value DataplaneWrap::OpenTap(const Napi::CallbackInfo& info) {
  std::string error;
  if (!dataplane_->OpenTap(U32(info[0]), info[1].As<Napi::Number>().Int32Value(), &error)) {
    return Fail(info.Env(), error);
  }
  return info.Env().Undefined();
}

Napi::Value DataplaneWrap::OpenMemory(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), dataplane_->OpenMemory(U32(info[0])));
}

Napi::Value DataplaneWrap::ClosePort(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), dataplane_->ClosePort(U32(info[0])));
}

Napi::Value DataplaneWrap::Apply(const Napi::CallbackInfo& info) {
  const auto batch = info[0].As<Napi::Uint8Array>();
  return Napi::Boolean::New(info.Env(), dataplane_->Apply(batch.Data(), batch.ByteLength()));
}

Napi::Value DataplaneWrap::Collect(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(dataplane_->Collect()));
}

Napi::Value DataplaneWrap::CounterValues(const Napi::CallbackInfo& info) {
  auto values = Napi::BigUint64Array::New(info.Env(), kCounterCount);
  for (size_t i = 0; i < kCounterCount; i++) values[i] = dataplane_->CounterSum(i);
  // In memory mode each frame is such a call.
  if (dataplane_->memory()) return values;
  values[static_cast<size_t>(Counter::node_calls)] = calls_.load(std::memory_order_relaxed);
  return values;
}

Napi::Value DataplaneWrap::Traffic(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const Port::Traffic* traffic = dataplane_->TrafficOf(U32(info[0]));
  if (traffic == nullptr) return env.Null();
  Napi::Object object = Napi::Object::New(env);
  const auto set = [&](const char* name, const std::atomic<uint64_t>& value) {
    object.Set(name,
               Napi::Number::New(env, static_cast<double>(value.load(std::memory_order_relaxed))));
  };
  set("rxFrames", traffic->rx_frames);
  set("rxBytes", traffic->rx_bytes);
  set("txFrames", traffic->tx_frames);
  set("txBytes", traffic->tx_bytes);
  set("dropped", traffic->dropped);
  return object;
}

Napi::Value DataplaneWrap::FdbRows(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Napi::Array rows = Napi::Array::New(env);
  dataplane_->tables().fdb.ForEach([&](const FdbKey& key, const FdbRow& row) {
    Napi::Object object = Napi::Object::New(env);
    object.Set("vni", key.vni);
    object.Set("mac", FromMac(env, key.mac));
    object.Set("port", row.port);
    object.Set("vtep", row.vtep);
    object.Set("record", row.record);
    rows.Set(rows.Length(), object);
  });
  return rows;
}

Napi::Value DataplaneWrap::NeighbourRows(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Napi::Array rows = Napi::Array::New(env);
  dataplane_->tables().neighbours.ForEach([&](const NeighbourKey& key, const NeighbourRow& row) {
    Napi::Object object = Napi::Object::New(env);
    object.Set("vni", key.vni);
    object.Set("ip", FromIp(env, key.ip));
    object.Set("mac", FromMac(env, row.mac));
    object.Set("gateway", row.gateway);
    object.Set("record", row.record);
    rows.Set(rows.Length(), object);
  });
  return rows;
}

Napi::Value DataplaneWrap::NetworkRows(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Napi::Array rows = Napi::Array::New(env);
  dataplane_->tables().networks.ForEach([&](const VniKey& key, const NetworkRow& row) {
    Napi::Object object = Napi::Object::New(env);
    object.Set("vni", key.vni);
    object.Set("record", row.record);
    object.Set("router", row.router);
    object.Set("mtu", row.mtu);
    object.Set("gatewayMac", FromMac(env, row.gateway_mac));
    object.Set("gateway4", FromIp(env, row.gateway4));
    object.Set("gateway6", FromIp(env, row.gateway6));
    object.Set("services", row.services);
    object.Set("ports", FromNumbers(env, row.ports));
    object.Set("vteps", FromNumbers(env, row.vteps));
    object.Set("learning", FromNumbers(env, row.learning));
    rows.Set(rows.Length(), object);
  });
  return rows;
}

Napi::Value DataplaneWrap::PortRows(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Napi::Array rows = Napi::Array::New(env);
  dataplane_->tables().ports.ForEach([&](const PortKey& key, const PortRow& row) {
    Napi::Object object = Napi::Object::New(env);
    object.Set("port", key.port);
    object.Set("vni", row.vni);
    object.Set("record", row.record);
    rows.Set(rows.Length(), object);
  });
  return rows;
}

Napi::Value DataplaneWrap::RouterRows(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Napi::Array rows = Napi::Array::New(env);
  dataplane_->tables().routers.ForEach([&](const RouterKey& key, const RouterRow& row) {
    Napi::Array subnets = Napi::Array::New(env);
    for (const RouterRow::Subnet& subnet : row.subnets) {
      Napi::Object object = Napi::Object::New(env);
      object.Set("prefix", FromIp(env, subnet.prefix));
      object.Set("bits", subnet.bits);
      object.Set("vni", subnet.vni);
      subnets.Set(subnets.Length(), object);
    }
    Napi::Array addresses = Napi::Array::New(env);
    for (const IpAddress& address : row.addresses) {
      addresses.Set(addresses.Length(), FromIp(env, address));
    }
    Napi::Object object = Napi::Object::New(env);
    object.Set("router", key.router);
    object.Set("record", row.record);
    object.Set("subnets", subnets);
    object.Set("addresses", addresses);
    rows.Set(rows.Length(), object);
  });
  return rows;
}

Napi::Value DataplaneWrap::VtepRows(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Napi::Array rows = Napi::Array::New(env);
  dataplane_->tables().vteps.ForEach([&](const VtepKey& key, const VtepRow& row) {
    Napi::Object object = Napi::Object::New(env);
    object.Set("vtep", key.vtep);
    object.Set("record", row.record);
    rows.Set(rows.Length(), object);
  });
  return rows;
}

Napi::Value DataplaneWrap::ServiceRows(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Napi::Array rows = Napi::Array::New(env);
  dataplane_->tables().services.ForEach([&](const ServiceKey& key, const ServiceRow& row) {
    rows.Set(rows.Length(), FromService(env, key, row));
  });
  return rows;
}

Napi::Value DataplaneWrap::Flows(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  uint32_t place = U32(info[0]);
  const std::vector<Flow> flows = dataplane_->Flows(&place);
  Napi::Array array = Napi::Array::New(env, flows.size());
  for (uint32_t i = 0; i < flows.size(); i++) array.Set(i, FromFlow(env, flows[i]));
  Napi::Object result = Napi::Object::New(env);
  result.Set("flows", array);
  result.Set("next", place);
  return result;
}

Napi::Value DataplaneWrap::FlowsNote(const Napi::CallbackInfo& info) {
  return Napi::String::New(info.Env(), dataplane_->flows_note());
}

Napi::Value DataplaneWrap::Tick(const Napi::CallbackInfo& info) {
  bool lossless;
  dataplane_->Tick(info[0].As<Napi::BigInt>().Uint64Value(&lossless), U32(info[1]));
  return FromOutputs(info.Env(), dataplane_->TakeOutputs());
}

Napi::Value DataplaneWrap::InjectFromPort(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  bool lossless;
  const uint64_t now_ns = info[2].As<Napi::BigInt>().Uint64Value(&lossless);
  std::vector<Dataplane::FromPort> frames;
  const auto list = info[1].As<Napi::Array>();
  for (uint32_t i = 0; i < list.Length(); i++) {
    const auto frame = list.Get(i).As<Napi::Object>();
    frames.push_back(
        {ToBytes(frame.Get("bytes")), ToOffload(frame.Get("offload").As<Napi::Object>())});
  }
  std::vector<Verdict> verdicts;
  if (!dataplane_->InjectFromPort(U32(info[0]), frames, now_ns, &verdicts)) {
    return Fail(env, "no such memory port, or the frame is too long");
  }
  return FromInjection(env, verdicts, dataplane_->TakeOutputs());
}

Napi::Value DataplaneWrap::InjectFromUnderlay(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  bool lossless;
  const uint64_t now_ns = info[1].As<Napi::BigInt>().Uint64Value(&lossless);
  std::vector<Dataplane::FromHost> datagrams;
  const auto list = info[0].As<Napi::Array>();
  for (uint32_t i = 0; i < list.Length(); i++) {
    const auto datagram = list.Get(i).As<Napi::Object>();
    datagrams.push_back({ToBytes(datagram.Get("bytes")), U32(datagram.Get("segment")),
                         U32(datagram.Get("source")),
                         static_cast<uint8_t>(U32(datagram.Get("tos")))});
  }
  std::vector<Verdict> verdicts;
  if (!dataplane_->InjectFromUnderlay(datagrams, now_ns, &verdicts)) {
    return Fail(env, "not in memory mode, or the datagram is too long");
  }
  return FromInjection(env, verdicts, dataplane_->TakeOutputs());
}

}  // namespace weft
