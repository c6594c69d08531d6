// Which descriptors of an init are the daemon's sockets: agreed between who starts one, init
// itself, and the next daemon, which looks for them there (init/README.md, --keep).

#ifndef WEFT_KEPT_DESCRIPTORS_H_
#define WEFT_KEPT_DESCRIPTORS_H_

namespace weft {

// Where init reports that it is ready; those it keeps follow.
inline constexpr int kReadyDescriptor = 3;
inline constexpr int kFirstKeptDescriptor = kReadyDescriptor + 1;
// A socket for each worker of the daemon.
inline constexpr int kMostKept = 64;

}  // namespace weft

#endif  // WEFT_KEPT_DESCRIPTORS_H_
