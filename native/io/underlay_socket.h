// A worker's socket on the VXLAN port, and its batch of datagrams to send.

#ifndef WEFT_IO_UNDERLAY_SOCKET_H_
#define WEFT_IO_UNDERLAY_SOCKET_H_

#include <netinet/in.h>
#include <sys/socket.h>

#include <memory>
#include <string>

#include "../io/segment.h"
#include "../io/source_ports.h"
#include "../io/underlay.h"

namespace weft {

class UnderlaySocket final : public Underlay, private DatagramSink {
 public:
  // Sends from `ports` (shared by the workers, outlives this) to UDP port `vxlan_port`.
  UnderlaySocket(const SourcePorts& ports, uint16_t vxlan_port);
  ~UnderlaySocket() override;

  // Binds; several workers' sockets share the port. On failure errno is left as bind set it.
  bool Open(VtepAddress address);
  // Takes over a socket that was bound by an earlier daemon.
  void Adopt(int fd) { fd_ = fd; }

  void Send(VtepAddress vtep, uint32_t vni, const PacketKey& key, Frame* frame,
            Counters* counters) override;
  void Flush(Counters* counters) override;

  struct Received {
    uint8_t* buffer;  // the datagram begins at kHeadroom
    uint32_t length;
    VtepAddress source;
  };
  static constexpr int kReceiveBatch = 32;
  // Takes what has arrived, up to kReceiveBatch datagrams; valid until the next call. 0: nothing.
  int Receive(Received* received);

  int descriptor() const { return fd_; }

  // Datagrams that the kernel dropped because the receive buffer was full. Any thread.
  uint64_t KernelDrops() const;

 private:
  // A flush sends up to this many datagrams: three superframes of 64 KB at an MTU of 1450.
  static constexpr int kSendBatch = 128;

  uint8_t* NextHead() override;
  void Take(const Datagram& datagram) override;

  const SourcePorts& ports_;
  const uint16_t vxlan_port_;
  int fd_ = -1;

  // Of the frame under way.
  VtepAddress vtep_ = 0;
  uint32_t port_index_ = 0;
  Counters* counters_ = nullptr;

  int queued_ = 0;
  struct Slot {
    uint8_t head[kMaxHead];
    iovec parts[2];
    sockaddr_in destination;
    uint32_t port_index;
  };
  std::unique_ptr<Slot[]> slots_;
  std::unique_ptr<mmsghdr[]> messages_;

  std::unique_ptr<uint8_t[]> receive_buffers_;
  std::unique_ptr<mmsghdr[]> receive_messages_;
  std::unique_ptr<iovec[]> receive_parts_;
  std::unique_ptr<sockaddr_in[]> receive_sources_;
};

}  // namespace weft

#endif  // WEFT_IO_UNDERLAY_SOCKET_H_
