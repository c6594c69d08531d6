// The way in, put together again: datagrams of one flow that follow each other become one
// superframe, which passes the pipeline once and is written to its TAP once.
//
// Only within what one turn of the worker has received, so nothing waits for what may come. The
// rules are those of the kernel's GRO: TCP in sequence or UDP datagrams of one size, headers equal
// but for what a sender's own segmentation changes, checksums right. What comes out, cut again
// (io/segment.h), is what came in, but for the id of an IPv4 packet with DF, which means nothing
// (RFC 6864); what no superframe can stand for passes as it is. A flow keeps its order; between
// flows there is none.

#ifndef WEFT_IO_COALESCER_H_
#define WEFT_IO_COALESCER_H_

#include <sys/uio.h>

#include <cstdint>

#include "../io/arrival.h"
#include "../tables/rows.h"
#include "../wire/frame.h"

namespace weft {

// Datagrams in one superframe: of 64 KB, those of more than 500 bytes; and all of a train.
inline constexpr uint32_t kMaxCoalesced = 128;

// Takes frames, each with its VXLAN header still before it (io/coalescer does not strip it: that
// is the pipeline's to judge). Offload metadata count from the Ethernet header.
class FrameSink {
 public:
  virtual void Take(VtepAddress source, uint8_t tos, Frame* frame) = 0;

 protected:
  ~FrameSink() = default;
};

class Coalescer {
 public:
  // `udp`: whether UDP may be put together, too.
  void Take(const Arrival& arrival, bool udp, FrameSink* sink);
  // Gives what is still held. To be called before the bytes of what was taken go away.
  void Flush(FrameSink* sink);

 private:
  // A datagram's headers, as far as superframes are concerned.
  struct Segment {
    enum class Kind : uint8_t {
      kOther,  // anything: it overtakes nothing
      kAlone,  // TCP or UDP that is no part of a superframe: overtakes nothing of its flow
      kPart,   // may be one
    };
    Kind kind = Kind::kOther;
    uint8_t* bytes;
    uint32_t headroom;
    uint32_t length;
    VtepAddress source;
    uint8_t tos;
    uint32_t inner_segment;

    bool ipv4;
    bool tcp;
    uint32_t flow;  // a hash of what follows
    uint32_t l4;    // offsets from `bytes`
    uint32_t payload;
    uint32_t payload_length() const { return length - payload; }
  };
  struct Held {
    Segment first;
    uint32_t count = 0;  // 0: a free place
    bool closed;         // nothing may follow
    bool verified;       // the first one's checksum
    uint8_t last_flags;  // FIN and PSH, of TCP's last
    uint32_t tail_bytes;
    iovec tail[kMaxCoalesced];
  };
  // Flows that may arrive interleaved without disturbing each other.
  static constexpr int kPlaces = 8;

  static void Read(bool udp, Segment* segment);
  static bool SameFlow(const Segment& a, const Segment& b);
  static bool Continues(Held* held, const Segment& segment);
  void TakeOne(Segment* segment, FrameSink* sink);
  void Give(Held* held, FrameSink* sink);

  Held held_[kPlaces];
  int held_count_ = 0;
  int next_place_ = 0;
};

}  // namespace weft

#endif  // WEFT_IO_COALESCER_H_
