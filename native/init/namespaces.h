// The namespaces that a sandbox consists of, and joining one that exists.
#ifndef WEFT_INIT_NAMESPACES_H_
#define WEFT_INIT_NAMESPACES_H_

#include "error.h"

namespace weft {

// For PID 1 of a new PID namespace: gives it a network, a mount and a UTS namespace of its own,
// with its own /proc and /sys, lo up, and `hostname`.
Error MakeSandbox(const char* hostname);

// For 127.0.0.0/8 of the namespace that we are in.
Error BringLoopbackUp();

// Joins the network namespace at `path`.
Error JoinNetwork(const char* path);

// A UTS namespace of one's own, in which the host is called `hostname`.
Error TakeHostname(const char* hostname);

}  // namespace weft

#endif  // WEFT_INIT_NAMESPACES_H_
