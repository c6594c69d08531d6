// The outer UDP source ports, and the sockets that own them.
//
// RFC 7348 section 5 asks for a source port from a hash of the inner flow, so that ECMP and
// receive-side scaling in the underlay can tell flows apart. A UDP socket sends from the port that
// it is bound to; so there is one socket a port, and a fixed number of them: enough to spread over
// any number of paths or queues that a lab has, few enough to open at start.

#ifndef WEFT_IO_SOURCE_PORTS_H_
#define WEFT_IO_SOURCE_PORTS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "../tables/rows.h"

namespace weft {

class SourcePorts {
 public:
  static constexpr uint32_t kPorts = 64;
  // The dynamic range that RFC 7348 recommends (RFC 6335 section 6).
  static constexpr uint32_t kFirstPort = 49152;

  SourcePorts() = default;
  ~SourcePorts() { Close(); }
  SourcePorts(const SourcePorts&) = delete;
  SourcePorts& operator=(const SourcePorts&) = delete;

  // Binds the sockets to `address`, to the first free ports of the range. False and a reason when
  // that fails.
  bool Open(VtepAddress address, std::string* error);

  // Gives the ports back. Nobody may send any more.
  void Close();

  // Sending through one socket from several threads is safe.
  uint32_t IndexOf(uint32_t flow_hash) const { return flow_hash % kPorts; }
  int descriptor(uint32_t index) const { return descriptors_[index]; }

 private:
  std::vector<int> descriptors_;
};

}  // namespace weft

#endif  // WEFT_IO_SOURCE_PORTS_H_
