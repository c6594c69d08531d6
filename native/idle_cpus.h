// Whether idle CPUs of this host may sleep: a request to the kernel's PM QoS.
//
// /dev/cpu_dma_latency (Documentation/power/pm_qos_interface.rst): a request lives as long as its
// descriptor is open, so nothing of it outlives this process. While the latency asked for is 0, an
// idle CPU looks for work in the kernel's idle loop; any thread that wakes has it at once, which a
// thread of ours that looked itself would not allow.

#ifndef WEFT_IDLE_CPUS_H_
#define WEFT_IDLE_CPUS_H_

namespace weft {

class IdleCpus {
 public:
  IdleCpus() = default;
  ~IdleCpus();
  IdleCpus(const IdleCpus&) = delete;
  IdleCpus& operator=(const IdleCpus&) = delete;

  // False: this kernel, or where we run, does not have it; everything goes on without.
  bool Open();
  // Whether this changed anything.
  bool KeepAwake();
  void LetSleep();

 private:
  void Ask(int latency_us);

  int fd_ = -1;
  bool awake_ = false;
};

}  // namespace weft

#endif  // WEFT_IDLE_CPUS_H_
