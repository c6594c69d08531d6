// The VXLAN sockets of an earlier daemon, kept open by the inits of its sandboxes.
//
// An init inherits the sockets of the daemon that starts it, and does nothing with them. So when
// the daemon is killed, what others send is queued by the kernel, and the next daemon goes on with
// it at once: a TCP peer that was about to wait twice as long before its next try has that try
// answered.

#ifndef WEFT_IO_KEPT_SOCKETS_H_
#define WEFT_IO_KEPT_SOCKETS_H_

#include <sys/types.h>

#include <vector>

#include "../kept_descriptors.h"
#include "../tables/rows.h"

namespace weft {

// Duplicates of the sockets bound to `address`:`port` that the inits in `pids` keep, each socket
// once. The caller's to close.
std::vector<int> TakeKeptSockets(const std::vector<pid_t>& pids, VtepAddress address,
                                 uint16_t port);

// Makes a socket that is not used any more take no datagram from those that are: it shares their
// port, and the kernel would give it its part of what arrives.
void RetireKeptSocket(int fd);

}  // namespace weft

#endif  // WEFT_IO_KEPT_SOCKETS_H_
