// The sandbox's interfaces: TAP descriptors that init keeps open so that they outlive the daemon.
#ifndef WEFT_INIT_TAP_H_
#define WEFT_INIT_TAP_H_

#include <net/if.h>
#include <stddef.h>

#include "error.h"

namespace weft {

class TapTable {
 public:
  // The descriptor of the TAP called `name`. It is made in init's network namespace if this table
  // has none, or if it was deleted from inside the sandbox.
  Error Get(const char* name, int* fd);

  // Closes this side's descriptor; the interface goes with the last one.
  Error Drop(const char* name);
  void CloseAll();

  bool Has(const char* name) { return name[0] != '\0' && Find(name) != nullptr; }

 private:
  struct Tap {
    char name[IFNAMSIZ];  // empty: a free slot
    int fd;
  };

  // One per network that the sandbox is on. A lab's sandbox has one to three.
  static constexpr size_t kMaxTaps = 64;

  Tap* Find(const char* name);

  Tap taps_[kMaxTaps] = {};
};

}  // namespace weft

#endif  // WEFT_INIT_TAP_H_
