// Where a sandbox asks for names: sockets at 127.0.0.11 that outlive the daemon, and a resolv.conf
// that names them.
#ifndef WEFT_INIT_RESOLVER_H_
#define WEFT_INIT_RESOLVER_H_

#include <stdint.h>
#include <sys/types.h>

#include "error.h"

namespace weft {

enum class DnsProtocol : uint8_t { kUdp, kTcp };

// The sockets on 127.0.0.11:53 of init's network namespace. Init does nothing with them: what is
// asked while no daemon runs waits there for the next one.
class ResolverSockets {
 public:
  // Opened on first use, with lo brought up for it; the same descriptor afterwards.
  Error Get(DnsProtocol protocol, int* fd);

  void CloseAll();

 private:
  int fds_[2] = {-1, -1};
};

// DIR/resolv.conf over /etc/resolv.conf, in a mount namespace that is not the host's. What was
// there stays below it.
class ResolvConf {
 public:
  // In init's own mount namespace, which must be one that init made. Once it is mounted this does
  // nothing.
  Error Mount(int dir_fd);

  // In the mount namespace of a process. Refuses if that is ours, or if what is mounted there
  // appeared elsewhere, too.
  Error MountFor(int dir_fd, int pidfd, pid_t pid);

  // Takes MountFor() back, if the process is still there; best effort.
  void UnmountFor(int pidfd);

 private:
  bool mounted_ = false;
};

}  // namespace weft

#endif  // WEFT_INIT_RESOLVER_H_
