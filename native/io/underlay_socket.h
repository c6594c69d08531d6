// A worker's socket on the VXLAN port, and its batch of datagrams to send.

#ifndef WEFT_IO_UNDERLAY_SOCKET_H_
#define WEFT_IO_UNDERLAY_SOCKET_H_

#include <netinet/in.h>
#include <sys/socket.h>

#include <memory>
#include <string>
#include <unordered_map>

#include "../io/coalescer.h"
#include "../io/segment.h"
#include "../io/source_ports.h"
#include "../io/train_queue.h"
#include "../io/underlay.h"

namespace weft {

class UnderlaySocket final : public Underlay, private DatagramSink {
 public:
  // Sends from `ports` (shared by the workers, outlives this) to UDP port `vxlan_port`.
  UnderlaySocket(const SourcePorts& ports, uint16_t vxlan_port, bool copy_dscp);
  ~UnderlaySocket() override;

  // Binds; several workers' sockets share the port. On failure errno is left as bind set it.
  bool Open(VtepAddress address);
  // Takes over a socket that was bound by an earlier daemon.
  void Adopt(int fd);

  void Send(VtepAddress vtep, uint32_t vni, const PacketKey& key, Frame* frame,
            Counters* counters) override;
  void Flush(Counters* counters) override;

  static constexpr int kReceiveBatch = 32;
  // Takes what has arrived, up to kReceiveBatch datagrams or runs of them; valid until the next
  // call. 0: nothing.
  int Receive(Arrival* arrivals, Counters* counters);

  int descriptor() const { return fd_; }

  // Datagrams that the kernel dropped because the receive buffer was full. Any thread.
  uint64_t KernelDrops() const;

 private:
  uint8_t* NextHead() override;
  void Take(const Datagram& datagram) override;

  void FlushSourcePort(uint32_t source_port_index, int first_train, Counters* counters);
  // Sends the messages in order, however many calls that takes; one that the kernel refuses is left
  // out.
  template <typename Sent, typename Refused>
  void SendAll(int fd, mmsghdr* messages, int count, Counters* counters, Sent sent,
               Refused refused);
  void SendOneByOne(int fd, const Train& train, Counters* counters);
  void CountSent(uint32_t datagrams, uint32_t bytes, Counters* counters);
  void CountDrop(int error, uint32_t datagrams, Counters* counters);

  // A way that refused a train: no offload on it, or smaller than the datagrams, which are then
  // fragmented one by one. Known by what it refused, forgotten after some more trains.
  struct Refusal {
    uint32_t from_segment;
    uint32_t trains_left;
  };
  bool MayTrain(const Train& train);
  void NoteRefusal(const Train& train, int error);

  const SourcePorts& ports_;
  const uint16_t vxlan_port_;
  const bool copy_dscp_;
  int fd_ = -1;

  // Of the frame under way.
  VtepAddress vtep_ = 0;
  uint32_t port_index_ = 0;
  uint8_t tos_ = 0;
  Counters* counters_ = nullptr;

  TrainQueue queue_;
  struct Outgoing {
    sockaddr_in destination;
    alignas(cmsghdr) uint8_t control[CMSG_SPACE(sizeof(uint16_t)) + CMSG_SPACE(sizeof(int))];
    const Train* train;
  };
  void Address(const Train& train, bool cut, Outgoing* outgoing, msghdr* header);
  std::unique_ptr<Outgoing[]> outgoing_;
  std::unique_ptr<mmsghdr[]> messages_;
  std::unique_ptr<mmsghdr[]> single_messages_;
  std::unordered_map<VtepAddress, Refusal> refusals_;

  std::unique_ptr<uint8_t[]> receive_buffers_;
  std::unique_ptr<mmsghdr[]> receive_messages_;
  std::unique_ptr<iovec[]> receive_parts_;
  // What the kernel tells of a datagram.
  struct Incoming {
    sockaddr_in source;
    alignas(cmsghdr) uint8_t control[CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(int))];
  };
  std::unique_ptr<Incoming[]> incoming_;
};

}  // namespace weft

#endif  // WEFT_IO_UNDERLAY_SOCKET_H_
