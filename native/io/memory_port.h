// The twins of TapPort and UnderlaySocket in memory, driven by tests: same pipeline, same cutting,
// no kernel.

#ifndef WEFT_IO_MEMORY_PORT_H_
#define WEFT_IO_MEMORY_PORT_H_

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "../io/port.h"
#include "../io/segment.h"
#include "../io/source_ports.h"
#include "../io/train_queue.h"
#include "../io/underlay.h"
#include "../wire/ecn.h"

namespace weft {

// What came out of the dataplane, in order.
struct MemoryOutput {
  PortId port = 0;  // 0: to the underlay
  VtepAddress vtep = 0;
  uint32_t source_port_index = 0;
  uint8_t tos = 0;
  uint32_t train = 0;  // datagrams of one number are sent as one; from 1 on
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
    frame.AppendTo(&output.bytes);
    outputs_->push_back(std::move(output));
    return WriteResult::kOk;
  }
  int descriptor() const override { return -1; }

 private:
  std::vector<MemoryOutput>* const outputs_;
};

class MemoryUnderlay final : public Underlay, private DatagramSink {
 public:
  MemoryUnderlay(std::vector<MemoryOutput>* outputs, bool copy_dscp)
      : outputs_(outputs), copy_dscp_(copy_dscp) {}

  void Send(VtepAddress vtep, uint32_t vni, const PacketKey& key, Frame* frame,
            Counters* counters) override {
    vtep_ = vtep;
    source_port_index_ = SymmetricFlowHash(key) % SourcePorts::kPorts;
    tos_ = OuterTrafficClass(*frame, key, copy_dscp_);
    counters_ = counters;
    const uint32_t count = EncapsulateAndCut(frame, key, vni, this);
    if (count == 0) counters->Add(Counter::drop_bad_offload);
    if (count > 1) counters->Add(Counter::superframes_cut);
  }

  void Flush(Counters* counters) override {
    queue_.ForEachSourcePort([&](uint32_t, int first) {
      for (int index = first; index >= 0; index = queue_.at(index).next) {
        Put(queue_.at(index), counters);
      }
    });
    queue_.Clear();
  }

 private:
  uint8_t* NextHead() override {
    if (!queue_.HasRoom()) Flush(counters_);
    return queue_.NextHead();
  }
  void Take(const Datagram& datagram) override {
    if (!queue_.HasRoom()) Flush(counters_);
    queue_.Add(datagram, vtep_, source_port_index_, tos_);
  }

  // Cuts as the kernel does: by sizes alone.
  void Put(const Train& train, Counters* counters) {
    std::vector<uint8_t> bytes;
    for (uint32_t i = 0; i < train.part_count; i++) {
      const auto* part = static_cast<const uint8_t*>(train.parts[i].iov_base);
      bytes.insert(bytes.end(), part, part + train.parts[i].iov_len);
    }
    trains_++;
    for (size_t at = 0; at < bytes.size(); at += train.segment) {
      MemoryOutput output;
      output.vtep = train.vtep;
      output.source_port_index = train.source_port_index;
      output.train = trains_;
      output.tos = train.tos;
      const size_t end = std::min(bytes.size(), at + train.segment);
      output.bytes.assign(bytes.begin() + static_cast<ptrdiff_t>(at),
                          bytes.begin() + static_cast<ptrdiff_t>(end));
      counters->Add(Counter::underlay_tx_datagrams);
      counters->Add(Counter::underlay_tx_bytes, output.bytes.size());
      outputs_->push_back(std::move(output));
    }
  }

  std::vector<MemoryOutput>* const outputs_;
  const bool copy_dscp_;
  TrainQueue queue_;
  uint32_t trains_ = 0;
  VtepAddress vtep_ = 0;
  uint32_t source_port_index_ = 0;
  uint8_t tos_ = 0;
  Counters* counters_ = nullptr;
};

}  // namespace weft

#endif  // WEFT_IO_MEMORY_PORT_H_
