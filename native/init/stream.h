// One client's socket: requests and frames in, replies and frames out.
//
// Nothing here blocks. What the socket does not take waits in a bounded queue; whoever produces it
// looks at waiting() and decides whether to go on.
#ifndef WEFT_INIT_STREAM_H_
#define WEFT_INIT_STREAM_H_

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "byte_queue.h"
#include "poller.h"

namespace weft {

enum class FrameKind : uint8_t {
  kStdin = 0,
  kStdout = 1,
  kStderr = 2,
  kWindowSize = 3,
  kSignal = 4,
  kExit = 5,
  kError = 6,
};

constexpr size_t kFrameHeaderBytes = 5;
constexpr size_t kMaxFrameBytes = 65536;

// A client that lags behind the main command by more is dropped; the log has what it misses.
constexpr size_t kMaxLagBytes = 4 << 20;

// When a command ends, what is left in its pipes is read at once. 1 MiB is the most that a pipe
// holds
// (/proc/sys/fs/pipe-max-size); more comes from processes that it left behind and that write on.
constexpr size_t kMaxRestBytes = 1 << 20;

// The kernel takes strings of up to 128 KiB: two of these, and their company.
constexpr size_t kMaxExecSpecBytes = 256 << 10;

class Stream {
 public:
  // Takes the connected, non-blocking socket over and begins to read.
  void Open(Poller* poller, int fd, uint32_t index);
  void Close();

  int fd() const { return socket_.fd(); }

  // Reads what there is into received(). False: the client is gone.
  bool Receive();
  ByteQueue& received() { return in_; }

  // While off, only the client's leaving is noticed.
  void ReadMore(bool on);

  // Both are false if the client is gone, or so far behind that the queue is full.
  bool SendLine(const char* line);
  bool SendFrame(FrameKind kind, const void* bytes, size_t count);

  // Sends what waits. False: the client is gone.
  bool Flush();
  size_t waiting() const { return out_.size(); }

  // Lets the kernel hold all that may wait here, so that it outlives init.
  void HandOver();

  // All has been said: the client sees the end of the stream when it has read what waits.
  void Finish();

 private:
  bool Send(const iovec* parts, int count);
  void ShowEnd();
  void WaitAgain();

  // In: the longest request, and frames behind it. Out: a full lag, a command's rest, some frames.
  static constexpr size_t kInBytes = kMaxExecSpecBytes + 2 * kMaxFrameBytes;
  static constexpr size_t kOutBytes = kMaxLagBytes + 2 * kMaxRestBytes;

  Watched socket_;
  ByteQueue in_{kInBytes};
  ByteQueue out_{kOutBytes};
  bool reading_ = false;
  bool finished_ = false;
};

}  // namespace weft

#endif  // WEFT_INIT_STREAM_H_
