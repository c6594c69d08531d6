// The control socket: where clients connect, and how a descriptor is handed to one.
#ifndef WEFT_INIT_CONTROL_H_
#define WEFT_INIT_CONTROL_H_

#include "error.h"
#include "poller.h"

namespace weft {

class ControlSocket {
 public:
  // Listens at `path`. What an init that was killed left there is replaced, one that lives is not.
  Error Open(Poller* poller, const char* path);

  // While off, who connects waits. On at first.
  void AcceptMore(bool on);

  // The next client's socket, non-blocking; -1 if it left again.
  int Accept() const;

  // Nobody finds the sandbox any more.
  void Close();

 private:
  Watched listener_;
  const char* path_ = nullptr;
};

// Sends "ok" with `fd` in one message. False: the client is gone.
bool SendDescriptor(int socket, int fd);

}  // namespace weft

#endif  // WEFT_INIT_CONTROL_H_
