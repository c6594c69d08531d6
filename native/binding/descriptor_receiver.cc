#include "../binding/descriptor_receiver.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

namespace weft {

namespace {

// Init answers within a millisecond; one that does not for this long is stopped or broken.
constexpr timeval kPatience = {5, 0};
constexpr size_t kLongestReply = 1024;

class DescriptorReceiver : public Napi::AsyncWorker {
 public:
  DescriptorReceiver(Napi::Env env, std::string path, std::string request)
      : AsyncWorker(env),
        deferred_(Napi::Promise::Deferred::New(env)),
        path_(std::move(path)),
        request_(std::move(request)) {}
  ~DescriptorReceiver() override {
    if (descriptor_ >= 0) close(descriptor_);
  }

  Napi::Promise promise() { return deferred_.Promise(); }

  void Execute() override {
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return SetError(strerror(errno));
    if (!Talk(fd)) {
      SetError(path_ + ": " + (errno == EAGAIN ? "no answer in 5 s" : strerror(errno)));
    }
    close(fd);
  }

  void OnOK() override {
    Napi::Object result = Napi::Object::New(Env());
    result.Set("reply", reply_);
    result.Set("fd", descriptor_);
    descriptor_ = -1;  // JavaScript's now
    deferred_.Resolve(result);
  }
  void OnError(const Napi::Error& error) override { deferred_.Reject(error.Value()); }

 private:
  bool Talk(int fd) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path_.size() >= sizeof(address.sun_path)) {
      errno = ENAMETOOLONG;
      return false;
    }
    memcpy(address.sun_path, path_.c_str(), path_.size() + 1);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof(kPatience));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &kPatience, sizeof(kPatience));
    if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) return false;
    if (send(fd, request_.data(), request_.size(), MSG_NOSIGNAL) !=
        static_cast<ssize_t>(request_.size())) {
      return false;
    }
    while (reply_.find('\n') == std::string::npos && reply_.size() < kLongestReply) {
      if (!ReceiveSome(fd)) return false;
    }
    return true;
  }

  bool ReceiveSome(int fd) {
    char bytes[256];
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
    iovec part{bytes, sizeof(bytes)};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof(control);
    const ssize_t got = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
    if (got <= 0) {
      if (got == 0) errno = ECONNRESET;
      return false;
    }
    for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
      if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && descriptor_ < 0) {
        memcpy(&descriptor_, CMSG_DATA(c), sizeof(int));
      }
    }
    reply_.append(bytes, static_cast<size_t>(got));
    return true;
  }

  Napi::Promise::Deferred deferred_;
  const std::string path_;
  const std::string request_;
  std::string reply_;
  int descriptor_ = -1;
};

}  // namespace

Napi::Value ReceiveDescriptor(const Napi::CallbackInfo& info) {
  auto* receiver = new DescriptorReceiver(info.Env(), info[0].As<Napi::String>().Utf8Value(),
                                          info[1].As<Napi::String>().Utf8Value());
  const Napi::Promise promise = receiver->promise();
  receiver->Queue();
  return promise;
}

}  // namespace weft
