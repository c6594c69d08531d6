// Dataplane as a JavaScript class. Argument types are checked in src/dataplane/binding.ts; here
// only what would be memory errors.

#ifndef WEFT_BINDING_DATAPLANE_WRAP_H_
#define WEFT_BINDING_DATAPLANE_WRAP_H_

#include <napi.h>

#include <atomic>
#include <memory>

#include "../dataplane.h"

namespace weft {

class DataplaneWrap : public Napi::ObjectWrap<DataplaneWrap> {
 public:
  static Napi::Function Define(Napi::Env env);
  explicit DataplaneWrap(const Napi::CallbackInfo& info);
  ~DataplaneWrap() override;

 private:
  // start(onPortGone: (id) => void, keepers: pids of inits): throws with `code` set to an errno's
  // name
  Napi::Value Start(const Napi::CallbackInfo& info);
  void Run(const Napi::CallbackInfo& info);
  void Stop(const Napi::CallbackInfo& info);
  Napi::Value UnderlayDescriptors(const Napi::CallbackInfo& info);
  Napi::Value OpenTap(const Napi::CallbackInfo& info);
  Napi::Value OpenMemory(const Napi::CallbackInfo& info);
  Napi::Value ClosePort(const Napi::CallbackInfo& info);
  Napi::Value Apply(const Napi::CallbackInfo& info);
  Napi::Value Collect(const Napi::CallbackInfo& info);
  // The sums over all workers, in the order of counterList.
  Napi::Value CounterValues(const Napi::CallbackInfo& info);
  Napi::Value Traffic(const Napi::CallbackInfo& info);
  Napi::Value FdbRows(const Napi::CallbackInfo& info);
  Napi::Value NeighbourRows(const Napi::CallbackInfo& info);
  Napi::Value NetworkRows(const Napi::CallbackInfo& info);
  Napi::Value PortRows(const Napi::CallbackInfo& info);
  Napi::Value RouterRows(const Napi::CallbackInfo& info);
  Napi::Value VtepRows(const Napi::CallbackInfo& info);
  // With the tallies of their backends.
  Napi::Value ServiceRows(const Napi::CallbackInfo& info);
  // flows(place): a page, and the place of the next one; 0: that was the last.
  Napi::Value Flows(const Napi::CallbackInfo& info);
  Napi::Value FlowsNote(const Napi::CallbackInfo& info);
  Napi::Value Tick(const Napi::CallbackInfo& info);
  Napi::Value InjectFromPort(const Napi::CallbackInfo& info);
  Napi::Value InjectFromUnderlay(const Napi::CallbackInfo& info);

  void Close();

  // Every call from Node, and into it, is counted: none is made for a frame.
  template <auto kMethod>
  auto Counted(const Napi::CallbackInfo& info) {
    calls_.fetch_add(1, std::memory_order_relaxed);
    return (this->*kMethod)(info);
  }
  std::atomic<uint64_t> calls_{0};

  std::unique_ptr<Dataplane> dataplane_;
  Napi::ThreadSafeFunction on_port_gone_;
  bool started_ = false;
};

}  // namespace weft

#endif  // WEFT_BINDING_DATAPLANE_WRAP_H_
