// The twins of TapPort and UnderlaySocket in memory, driven by tests: same pipeline, same cutting,
// no kernel.

#ifndef WEFT_IO_MEMORY_PORT_H_
#define WEFT_IO_MEMORY_PORT_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "../io/port.h"
#include "../io/segment.h"
#include "../io/source_ports.h"
#include "../io/underlay.h"

namespace weft {

// What came out of the dataplane, in order.
struct MemoryOutput {
  PortId port = 0;  // 0: to the underlay
  VtepAddress vtep = 0;
  uint32_t source_port_index = 0;
  Offload offload;
  std::vector<uint8_t> bytes;
};

class MemoryPort final : public Port {
 public:
  MemoryPort(PortId id, std::vector<MemoryOutput>* outputs) : Port(id, 0), outputs_(outputs) {}

  ReadResult Read(uint8_t*, uint32_t*, Offload*) override { return ReadResult::kEmpty; }
  WriteResult Write(const Frame& frame) override {
    MemoryOutput output;
    output.port = id;
    output.offload = frame.offload;
    output.bytes.assign(frame.data(), frame.data() + frame.length());
    outputs_->push_back(std::move(output));
    return WriteResult::kOk;
  }
  int descriptor() const override { return -1; }

 private:
  std::vector<MemoryOutput>* const outputs_;
};

class MemoryUnderlay final : public Underlay, private DatagramSink {
 public:
  explicit MemoryUnderlay(std::vector<MemoryOutput>* outputs) : outputs_(outputs) {}

  void Send(VtepAddress vtep, uint32_t vni, const PacketKey& key, Frame* frame,
            Counters* counters) override {
    vtep_ = vtep;
    source_port_index_ = SymmetricFlowHash(key) % SourcePorts::kPorts;
    counters_ = counters;
    const uint32_t count = EncapsulateAndCut(frame, key, vni, this);
    if (count == 0) counters->Add(Counter::drop_bad_offload);
    if (count > 1) counters->Add(Counter::superframes_cut);
  }
  void Flush(Counters*) override {}

 private:
  uint8_t* NextHead() override { return head_; }
  void Take(const Datagram& datagram) override {
    MemoryOutput output;
    output.vtep = vtep_;
    output.source_port_index = source_port_index_;
    output.bytes.assign(datagram.head, datagram.head + datagram.head_length);
    output.bytes.insert(output.bytes.end(), datagram.body, datagram.body + datagram.body_length);
    counters_->Add(Counter::underlay_tx_datagrams);
    counters_->Add(Counter::underlay_tx_bytes, output.bytes.size());
    outputs_->push_back(std::move(output));
  }

  std::vector<MemoryOutput>* const outputs_;
  uint8_t head_[kMaxHead];
  VtepAddress vtep_ = 0;
  uint32_t source_port_index_ = 0;
  Counters* counters_ = nullptr;
};

}  // namespace weft

#endif  // WEFT_IO_MEMORY_PORT_H_
