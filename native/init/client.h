// One connection to the control socket: how far its conversation is.
#ifndef WEFT_INIT_CLIENT_H_
#define WEFT_INIT_CLIENT_H_

#include <stdint.h>

#include "command.h"
#include "stream.h"

namespace weft {

struct Client {
  enum class State : uint8_t {
    kFree,      // nobody is connected
    kRequest,   // request lines
    kExecSpec,  // the bytes behind an exec line
    kWatch,     // waits to be told how the main command ends
    kAttached,  // frames, with the main command
    kExec,      // frames, with `command`
    kFinished,  // all was said; waits for the client to hang up. Closing first, with input unread,
                // would reset the connection, and a client might lose what it has not read yet
  };

  State state;
  Stream stream;
  Command command;          // kExec
  uint32_t exec_spec_size;  // kExecSpec
  // kAttached, kExec:
  uint32_t stdin_left;  // bytes of the current stdin frame that are still to come
  bool stalled;         // its command takes no input now
  bool foreground;      // kAttached: it started the command, which therefore waits for it
};

}  // namespace weft

#endif  // WEFT_INIT_CLIENT_H_
