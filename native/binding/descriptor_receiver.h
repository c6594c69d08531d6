// Asks weft-init over its control socket for a descriptor, which Node cannot receive itself.

#ifndef WEFT_BINDING_DESCRIPTOR_RECEIVER_H_
#define WEFT_BINDING_DESCRIPTOR_RECEIVER_H_

#include <napi.h>

namespace weft {

// receiveDescriptor(path, request) → Promise<{reply, fd}>: connects to the unix socket at `path`,
// sends `request`, takes one line and the descriptor that came with it (fd -1: none came). Off the
// main thread, bounded in time. The caller owns fd.
Napi::Value ReceiveDescriptor(const Napi::CallbackInfo& info);

}  // namespace weft

#endif  // WEFT_BINDING_DESCRIPTOR_RECEIVER_H_
