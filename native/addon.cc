// The addon: everything that JavaScript can see, on one screen.

#include <napi.h>

#include "binding/convert.h"
#include "binding/datagram_socket.h"
#include "binding/dataplane_wrap.h"
#include "binding/descriptor_receiver.h"
#include "binding/program_starter.h"

namespace {

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  exports.Set("Dataplane", weft::DataplaneWrap::Define(env));
  exports.Set("DatagramSocket", weft::DatagramSocket::Define(env));
  exports.Set("bindUdp", Napi::Function::New(env, weft::BindUdp));
  exports.Set("counterList", weft::CounterList(env));
  exports.Set("receiveDescriptor", Napi::Function::New(env, weft::ReceiveDescriptor));
  exports.Set("checksumSums", weft::ChecksumSums(env));
  exports.Set("awakeForNs", Napi::Function::New(env, weft::AwakeForNs));
  exports.Set("startProgram", Napi::Function::New(env, weft::StartProgram));
  return exports;
}

}  // namespace

NODE_API_MODULE(weft, Init)
