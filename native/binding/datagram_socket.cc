#include "datagram_socket.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>

namespace weft {

namespace {

Napi::Value Fail(Napi::Env env, int code) {
  Napi::Error error = Napi::Error::New(env, strerror(code));
  error.Set("code", Napi::String::New(env, strerrorname_np(code)));
  error.ThrowAsJavaScriptException();
  return env.Undefined();
}

// 0, or the errno that says why `fd` is no UDP socket.
int RefuseOtherThanUdp(int fd) {
  int protocol = 0;
  socklen_t length = sizeof(protocol);
  if (getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &length) != 0) return errno;
  return protocol == IPPROTO_UDP ? 0 : EPROTOTYPE;
}

}  // namespace

Napi::Value BindUdp(const Napi::CallbackInfo& info) {
  const std::string text = info[0].As<Napi::String>().Utf8Value();
  const auto port = htons(static_cast<uint16_t>(info[1].As<Napi::Number>().Uint32Value()));
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  v4.sin_port = port;
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = port;
  const bool is_v4 = inet_pton(AF_INET, text.c_str(), &v4.sin_addr) == 1;
  if (!is_v4 && inet_pton(AF_INET6, text.c_str(), &v6.sin6_addr) != 1) {
    return Fail(info.Env(), EINVAL);
  }
  const int fd = socket(is_v4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return Fail(info.Env(), errno);
  const int bound = is_v4 ? bind(fd, reinterpret_cast<sockaddr*>(&v4), sizeof(v4))
                          : bind(fd, reinterpret_cast<sockaddr*>(&v6), sizeof(v6));
  if (bound != 0) {
    const int code = errno;
    close(fd);
    return Fail(info.Env(), code);
  }
  return Napi::Number::New(info.Env(), fd);
}

Napi::Function DatagramSocket::Define(Napi::Env env) {
  return DefineClass(env, "DatagramSocket",
                     {
                         InstanceMethod<&DatagramSocket::Port>("port"),
                         InstanceMethod<&DatagramSocket::Answer>("answer"),
                         InstanceMethod<&DatagramSocket::Sender>("sender"),
                         InstanceMethod<&DatagramSocket::Send>("send"),
                         InstanceMethod<&DatagramSocket::Close>("close"),
                         StaticValue("slots", Napi::Number::New(env, kSlots)),
                         StaticValue("slotBytes", Napi::Number::New(env, kSlotBytes)),
                     });
}

DatagramSocket::DatagramSocket(const Napi::CallbackInfo& info)
    : ObjectWrap(info), fd_(info[0].As<Napi::Number>().Int32Value()) {
  const auto bytes = info[1].As<Napi::Uint8Array>();
  const auto lengths = info[2].As<Napi::Uint32Array>();
  int code = RefuseOtherThanUdp(fd_);
  if (bytes.ByteLength() < kSlots * kSlotBytes || lengths.ElementLength() < kSlots) code = EINVAL;
  uv_loop_t* loop = nullptr;
  if (code == 0 && napi_get_uv_event_loop(info.Env(), &loop) != napi_ok) code = ENOSYS;
  if (code == 0) {
    watch_ = new Watch{{}, this};
    code = -uv_poll_init(loop, &watch_->poll, fd_);
    if (code != 0) {
      delete watch_;
      watch_ = nullptr;
    }
  }
  if (code != 0) {
    close(fd_);
    Fail(info.Env(), code);
    return;
  }
  bytes_ = Napi::Persistent(bytes);
  lengths_ = Napi::Persistent(lengths);
  on_batch_ = Napi::Persistent(info[3].As<Napi::Function>());
  watch_->poll.data = watch_;
  uv_poll_start(&watch_->poll, UV_READABLE, OnEvent);
  Ref();  // until it is closed
}

DatagramSocket::~DatagramSocket() { LetGo(); }

void DatagramSocket::LetGo() {
  if (watch_ == nullptr) return;
  watch_->socket = nullptr;
  uv_close(reinterpret_cast<uv_handle_t*>(&watch_->poll),
           [](uv_handle_t* handle) { delete static_cast<Watch*>(handle->data); });
  watch_ = nullptr;
  close(fd_);
}

void DatagramSocket::Close(const Napi::CallbackInfo&) {
  if (watch_ == nullptr) return;
  LetGo();
  Unref();
}

void DatagramSocket::OnEvent(uv_poll_t* poll, int status, int) {
  DatagramSocket* const socket = static_cast<Watch*>(poll->data)->socket;
  if (socket == nullptr) return;
  if (status < 0) {
    // An error of the socket as a whole (`ss --kill` makes one). It is told once, then it goes on.
    int error = 0;
    socklen_t length = sizeof(error);
    getsockopt(socket->fd_, SOL_SOCKET, SO_ERROR, &error, &length);
    uv_poll_start(poll, UV_READABLE, OnEvent);
    return;
  }
  socket->Receive();
}

void DatagramSocket::Receive() {
  const Napi::Env env = Env();
  Napi::HandleScope scope(env);
  const Napi::Object self = Value();  // onBatch may close it
  uint8_t* const bytes = bytes_.Value().Data();
  mmsghdr messages[kSlots] = {};
  iovec parts[kSlots];
  for (size_t slot = 0; slot < kSlots; slot++) {
    parts[slot] = {bytes + slot * kSlotBytes, kSlotBytes};
    msghdr& header = messages[slot].msg_hdr;
    header.msg_name = &senders_[slot];
    header.msg_namelen = sizeof(Address);
    header.msg_iov = &parts[slot];
    header.msg_iovlen = 1;
  }
  const int count = recvmmsg(fd_, messages, kSlots, MSG_DONTWAIT, nullptr);
  // Nothing there after all (a bad checksum), or an error that reading has taken away: it is asked
  // again when there is something.
  if (count <= 0) return;
  uint32_t* const lengths = lengths_.Value().Data();
  for (int slot = 0; slot < count; slot++) lengths[slot] = messages[slot].msg_len;
  on_batch_.MakeCallback(self, {Napi::Number::New(env, count)});
  if (env.IsExceptionPending()) {
    napi_fatal_exception(env, env.GetAndClearPendingException().Value());
  }
}

Napi::Value DatagramSocket::Port(const Napi::CallbackInfo& info) {
  Address address{};
  socklen_t length = sizeof(address);
  if (watch_ != nullptr) getsockname(fd_, &address.any, &length);
  // At the same place for both families.
  return Napi::Number::New(info.Env(), ntohs(address.v4.sin_port));
}

Napi::Value DatagramSocket::Answer(const Napi::CallbackInfo& info) {
  const size_t count = std::min<size_t>(info[0].As<Napi::Number>().Uint32Value(), kSlots);
  uint8_t* const bytes = bytes_.Value().Data();
  const uint32_t* const lengths = lengths_.Value().Data();
  mmsghdr messages[kSlots] = {};
  iovec parts[kSlots];
  unsigned answers = 0;
  for (size_t slot = 0; slot < count; slot++) {
    if (lengths[slot] == 0) continue;
    parts[answers] = {bytes + slot * kSlotBytes, std::min<size_t>(lengths[slot], kSlotBytes)};
    msghdr& header = messages[answers].msg_hdr;
    header.msg_name = &senders_[slot];
    header.msg_namelen =
        senders_[slot].any.sa_family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
    header.msg_iov = &parts[answers];
    header.msg_iovlen = 1;
    answers++;
  }
  unsigned sent = 0;
  for (unsigned at = 0; at < answers && watch_ != nullptr;) {
    const int taken = sendmmsg(fd_, messages + at, answers - at, MSG_DONTWAIT);
    if (taken > 0) {
      at += static_cast<unsigned>(taken);
      sent += static_cast<unsigned>(taken);
    } else if (errno == EAGAIN) {
      break;  // the rest would find the buffer as full
    } else {
      at++;  // that one's address takes none
    }
  }
  return Napi::Number::New(info.Env(), answers - sent);
}

Napi::Value DatagramSocket::Sender(const Napi::CallbackInfo& info) {
  const size_t slot = std::min<size_t>(info[0].As<Napi::Number>().Uint32Value(), kSlots - 1);
  return Napi::Buffer<uint8_t>::Copy(info.Env(), reinterpret_cast<uint8_t*>(&senders_[slot]),
                                     sizeof(Address));
}

Napi::Value DatagramSocket::Send(const Napi::CallbackInfo& info) {
  const auto bytes = info[0].As<Napi::Uint8Array>();
  const auto sender = info[1].As<Napi::Uint8Array>();
  Address address{};
  memcpy(&address, sender.Data(), std::min(sender.ByteLength(), sizeof(address)));
  const socklen_t length =
      address.any.sa_family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
  const bool sent = watch_ != nullptr && sendto(fd_, bytes.Data(), bytes.ByteLength(), MSG_DONTWAIT,
                                                &address.any, length) >= 0;
  return Napi::Boolean::New(info.Env(), sent);
}

}  // namespace weft
