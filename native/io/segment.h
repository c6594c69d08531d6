// Cutting a frame for the underlay: superframe → segments with headers and checksums of their own.
//
// The payload is not copied: a segment is a head (VXLAN header, and for a superframe the rewritten
// inner headers) built in scratch memory, and a body that points into the frame.

#ifndef WEFT_IO_SEGMENT_H_
#define WEFT_IO_SEGMENT_H_

#include <cstdint>

#include "../wire/frame.h"
#include "../wire/packet_key.h"

namespace weft {

// VXLAN (8), Ethernet with two tags (22), IPv4 or IPv6 with options or extension headers, TCP with
// all its options (60). A frame whose headers are longer is not one that a kernel makes.
inline constexpr uint32_t kMaxHead = 256;

// 64 KB in segments of TCP's smallest sensible MSS (Linux refuses peers below 48, TCP_MIN_MSS; 64
// here): what asks for more is an amplifier, not a sender.
inline constexpr uint32_t kMaxSegments = 1024;

struct Datagram {
  uint8_t* head;  // scratch that the sink gave, or the bytes before the body
  uint32_t head_length;
  const uint8_t* body;
  uint32_t body_length;
};

// Where datagrams go. NextHead() gives scratch for one head (kMaxHead bytes), Take() takes the
// datagram that uses it; both must stay readable until the sink has sent it. The frame's bytes stay
// in place until the sink is flushed.
class DatagramSink {
 public:
  virtual uint8_t* NextHead() = 0;
  virtual void Take(const Datagram& datagram) = 0;

 protected:
  ~DatagramSink() = default;
};

// Encapsulates `frame` in `vni`: one datagram, or one for each segment. The number of datagrams; 0
// when the offload metadata contradicts the frame (nothing was given to the sink then).
uint32_t EncapsulateAndCut(Frame* frame, const PacketKey& key, uint32_t vni, DatagramSink* sink);

}  // namespace weft

#endif  // WEFT_IO_SEGMENT_H_
