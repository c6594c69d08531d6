// Socket addresses, IPv4 and IPv6 alike.
#ifndef WEFT_BENCH_ADDRESS_H_
#define WEFT_BENCH_ADDRESS_H_

#include <sys/socket.h>

#include <cstdint>

namespace weft {

struct Address {
  sockaddr_storage storage{};
  socklen_t length = 0;

  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  int family() const { return storage.ss_family; }
};

// False for what is no IP address.
bool ParseAddress(const char* text, uint16_t port, Address* address);

// What TCP of both ends uses, so far as the kernel has it: defaults differ, and BBR measures
// itself.
void PinCongestionControl(int fd);

// A socket bound to the port on every address of both families. -1 with errno.
int BindAnywhere(int type, uint16_t port);

}  // namespace weft

#endif  // WEFT_BENCH_ADDRESS_H_
