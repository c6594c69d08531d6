// A port that is a TAP device's queue.

#ifndef WEFT_IO_TAP_PORT_H_
#define WEFT_IO_TAP_PORT_H_

#include <string>

#include "../io/port.h"

namespace weft {

class TapPort final : public Port {
 public:
  // Takes `fd`, a TAP queue attached with IFF_VNET_HDR by weft-init, and sets what a descriptor
  // keeps: header size, offloads, non-blocking. nullptr and a reason when it is not such a thing;
  // `fd` is then still the caller's.
  static TapPort* Adopt(PortId id, int worker, int fd, std::string* error);
  ~TapPort() override;

  // Whether this kernel's TAPs take superframes of UDP (Linux 6.2), as far as the ports so far have
  // shown. Any thread.
  static bool TakesUdpSuperframes();

  ReadResult Read(uint8_t* buffer, uint32_t* length, Offload* offload) override;
  WriteResult Write(const Frame& frame) override;
  int descriptor() const override { return fd_; }

 private:
  TapPort(PortId id, int worker, int fd) : Port(id, worker), fd_(fd) {}
  const int fd_;
};

}  // namespace weft

#endif  // WEFT_IO_TAP_PORT_H_
