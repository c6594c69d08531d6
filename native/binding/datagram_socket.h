// A UDP socket for JavaScript: what came is taken at once, and what is answered to it sent at once.

#ifndef WEFT_BINDING_DATAGRAM_SOCKET_H_
#define WEFT_BINDING_DATAGRAM_SOCKET_H_

#include <napi.h>
#include <netinet/in.h>
#include <uv.h>

#include <array>

namespace weft {

// bindUdp(address, port) → descriptor: throws with `code` set to an errno's name.
Napi::Value BindUdp(const Napi::CallbackInfo& info);

// Messages are in slots, memory that is JavaScript's and shared by all sockets: they are there for
// as long as onBatch runs. An answer takes the place of its message.
class DatagramSocket : public Napi::ObjectWrap<DatagramSocket> {
 public:
  static constexpr size_t kSlots = 32;
  // The longest payload, and some.
  static constexpr size_t kSlotBytes = 1 << 16;

  static Napi::Function Define(Napi::Env env);
  // DatagramSocket(fd, bytes: kSlots * kSlotBytes, lengths: kSlots, onBatch: (count) => void): owns
  // the descriptor, also when it throws.
  explicit DatagramSocket(const Napi::CallbackInfo& info);
  ~DatagramSocket() override;

 private:
  union Address {
    sockaddr any;
    sockaddr_in v4;
    sockaddr_in6 v6;
  };
  // Outlives the socket until the loop has let go of it.
  struct Watch {
    uv_poll_t poll;
    DatagramSocket* socket;
  };

  Napi::Value Port(const Napi::CallbackInfo& info);
  // answer(count) → of the slots' answers (length 0: none) those that the kernel did not take.
  Napi::Value Answer(const Napi::CallbackInfo& info);
  // sender(slot) → the address as bytes, for send().
  Napi::Value Sender(const Napi::CallbackInfo& info);
  // send(bytes, sender) → whether the kernel took it.
  Napi::Value Send(const Napi::CallbackInfo& info);
  void Close(const Napi::CallbackInfo& info);

  static void OnEvent(uv_poll_t* poll, int status, int events);
  void Receive();
  void LetGo();

  int fd_;
  Watch* watch_ = nullptr;
  Napi::Reference<Napi::Uint8Array> bytes_;
  Napi::Reference<Napi::Uint32Array> lengths_;
  Napi::FunctionReference on_batch_;
  std::array<Address, kSlots> senders_;
};

}  // namespace weft

#endif  // WEFT_BINDING_DATAGRAM_SOCKET_H_
