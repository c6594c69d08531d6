// The listening end of the connection benchmark: takes connections, answers a byte with a byte.
#ifndef WEFT_BENCH_ACCEPTER_H_
#define WEFT_BENCH_ACCEPTER_H_

#include <cstdint>

namespace weft {

struct AcceptOptions {
  uint16_t port = 0;
  uint64_t idle_ms = 1000;    // ends when none has come for so long
  uint64_t wait_ms = 10'000;  // for the first
  uint64_t most_ms = 900'000;
};

class Accepter {
 public:
  explicit Accepter(const AcceptOptions& options) : options_(options) {}
  ~Accepter();

  // Serves, reports. Gives the exit status.
  int Run();

 private:
  bool Open();
  void AcceptAll(uint64_t now_ns);
  void Serve(int fd);

  const AcceptOptions options_;
  int listener_ = -1;
  int epoll_ = -1;
  uint64_t accepted_ = 0;
  uint64_t answered_ = 0;
  uint64_t last_ns_ = 0;
};

}  // namespace weft

#endif  // WEFT_BENCH_ACCEPTER_H_
