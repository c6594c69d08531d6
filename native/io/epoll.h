// Everything that a worker waits for.

#ifndef WEFT_IO_EPOLL_H_
#define WEFT_IO_EPOLL_H_

#include <sys/epoll.h>

#include <cstdint>

namespace weft {

enum class WaitFor : uint32_t {
  kMailbox = 1,   // eventfd: frames handed over by another worker, or the order to stop
  kUnderlay = 2,  // the worker's socket on the VXLAN port
  kPort = 3,      // a local endpoint's TAP; the low half names the port
};

inline uint64_t PackWait(WaitFor kind, uint32_t id) {
  return static_cast<uint64_t>(kind) << 32 | id;
}
inline WaitFor WaitKind(uint64_t packed) { return static_cast<WaitFor>(packed >> 32); }
inline uint32_t WaitId(uint64_t packed) { return static_cast<uint32_t>(packed); }

}  // namespace weft

#endif  // WEFT_IO_EPOLL_H_
